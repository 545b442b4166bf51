package abuse

import (
	"net"
	"os/exec"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// engine is a Redis that comes and goes, at one address.
type engine struct {
	t       *testing.T
	program string
	address string
	cmd     *exec.Cmd
}

// newEngine returns one that has yet to be started.
func newEngine(t *testing.T) *engine {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return &engine{t: t, program: testenv.Need(t, "redis-server"), address: ln.Addr().String()}
}

func (e *engine) start() {
	e.t.Helper()
	host, port, _ := net.SplitHostPort(e.address)
	e.cmd = exec.Command(e.program, "--bind", host, "--port", port, "--save", "", "--user", "u", "on", ">hunter2", "~*", "&*", "+@all")
	e.cmd.Dir = e.t.TempDir()
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(e.stop)
	for deadline := time.Now().Add(patience); ; {
		if answer, _ := request(e.address, "PING\r\nQUIT\r\n", time.Second); answer != "" {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatal("redis-server does not answer")
		}
	}
}

func (e *engine) stop() {
	if e.cmd != nil {
		e.cmd.Process.Kill()
		e.cmd.Wait()
		e.cmd = nil
	}
}
