package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/internal/testenv"
)

// kept are programs that subscribe and publish on connections of which they take no end, until
// their stdin ends. They say "ready" first, and at last how many messages they have heard.
var kept = []struct {
	name    string
	program func(t *testing.T, host, port string) *exec.Cmd
}{
	{"ioredis RESP2", nodeFramework("upgrade-ioredis.mjs", "2")},
	{"ioredis RESP3", nodeFramework("upgrade-ioredis.mjs", "3")},
	{"node-redis RESP2", nodeFramework("upgrade-redis.mjs", "2")},
	{"node-redis RESP3", nodeFramework("upgrade-redis.mjs", "3")},
	{"redis-py", func(t *testing.T, host, port string) *exec.Cmd {
		return command(t, needRedisPy(t), "testdata/upgrade.py", host, port)
	}},
}

// Ensure that clients of Redis go on over upgrades by the real program, on the connections that
// they have, while they publish and hear all the time.
func TestUpgradeBeneathClientsOfRedis(t *testing.T) {
	s := startService(t)
	host, port, _ := net.SplitHostPort(s.admin)
	var clients sync.WaitGroup
	var stop []func()
	for _, client := range kept {
		cmd := client.program(t, host, port)
		var errors bytes.Buffer
		cmd.Stderr = &errors
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop = append(stop, func() { stdin.Close() })
		lines := bufio.NewReader(stdout)
		if line, err := lines.ReadString('\n'); line != "ready\n" {
			rest, _ := io.ReadAll(lines)
			cmd.Wait()
			t.Fatalf("%s: %q, %v: %s%s", client.name, line, err, rest, errors.Bytes())
		}
		clients.Go(func() {
			output, _ := io.ReadAll(lines)
			if err := cmd.Wait(); err != nil || !strings.HasPrefix(string(output), "heard ") {
				t.Errorf("%s: %v: %s%s", client.name, err, output, errors.Bytes())
			}
			t.Logf("%s %s", client.name, output)
		})
	}
	for range 2 {
		s.upgrade()
	}
	for _, f := range stop {
		f()
	}
	clients.Wait()
}

// service is the real program, which upgrades replace.
type service struct {
	t              *testing.T
	program        string
	control, admin string
	pid            int
}

func startService(t *testing.T) *service {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &service{t: t, program: testenv.Program(t, false), control: filepath.Join(dir, "control")}
	cmd := exec.Command(s.program, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ops", "off", "--loops", "1", "--control", s.control)
	r, w, err := os.Pipe() // which the processes after the first have, too
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	var reading sync.WaitGroup
	t.Cleanup(func() {
		unix.Kill(s.pid, unix.SIGKILL)
		s.reap(s.pid)
		reading.Wait()
		r.Close()
	})
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if m := regexp.MustCompile(`millrace is ready.* admin=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			s.admin = m[1]
			break
		}
	}
	if s.admin == "" {
		t.Fatal("the server is not ready")
	}
	reading.Go(func() { io.Copy(io.Discard, r) })
	return s
}

// upgrade has the same program take over.
func (s *service) upgrade() {
	s.t.Helper()
	out, err := command(s.t, s.program, "upgrade", "--control", s.control, "--unsupervised").CombinedOutput()
	m := regexp.MustCompile(`process (\d+) has been started`).FindSubmatch(out)
	if err != nil || m == nil {
		s.t.Fatalf("millrace upgrade: %v: %s", err, out)
	}
	s.reap(s.pid)
	s.pid, _ = strconv.Atoi(string(m[1]))
}

// reap waits for a process, which is our child, as an upgrade starts it beside the one before.
func (s *service) reap(pid int) {
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		s.t.Error(fmt.Errorf("wait for process %d: %w", pid, err))
	}
}
