package redis

import (
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// redisServer is Debian's redis-server at a socket in a folder of the test's.
type redisServer struct {
	program, socket string
	user            string // of the URL, with the password
	args            []string
	query           string // of the URL
	cmd             *exec.Cmd
}

// newServer returns a server that is not running, with further arguments.
func newServer(t testing.TB, args ...string) *redisServer {
	t.Helper()
	dir := t.TempDir()
	s := &redisServer{program: testenv.Need(t, "redis-server"), socket: filepath.Join(dir, "redis.sock")}
	s.args = append([]string{"--port", "0", "--unixsocket", s.socket, "--dir", dir, "--save", "",
		"--user", "node", "on", ">secret", "+@all", "~*", "&app:/ra*", "&app:/pipeline", "&app:__millrace:control", "&app:{millrace:0}:stream:__millrace:control", "&app:{millrace:0}:node:*", "&app:{millrace:0}:stream:/ra*", "&app:{millrace:0}:stream:/pipeline"}, args...)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Start implements enginetest.Engine.
func (s *redisServer) Start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.program, s.args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		conn, err := s.Dial()
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not accept connections: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Stop implements enginetest.Engine.
func (s *redisServer) Stop(t testing.TB) {
	t.Helper()
	if s.cmd != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Dial implements enginetest.Engine.
func (s *redisServer) Dial() (net.Conn, error) { return net.Dial("unix", s.socket) }

// URL implements enginetest.Engine.
func (s *redisServer) URL(address string) string {
	return "redis://" + s.user + address + "/" + s.query
}

// restrict has nodes be a user that may use no channels but those of the suite.
func (s *redisServer) restrict() *redisServer {
	s.user = "node:secret@"
	return s
}

func TestPubSub(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{
		Engine:    newServer(t).restrict(),
		Refused:   "/stranger ",
		Exact:     true,
		Pipelined: true,
		Args:      []string{"--channel-prefix", "app"},
	})
}
