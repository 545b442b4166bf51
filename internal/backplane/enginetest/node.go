package enginetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// Node is one millrace, a process of its own, that can be killed and started
// again. Its addresses differ each time. It can be upgraded, too, which changes nothing but its
// process.
type Node struct {
	t       testing.TB
	program string
	args    []string
	control string // path of its control socket

	mu            sync.Mutex
	cmd           *exec.Cmd
	successors    []int  // processes that have taken over from cmd, our children too
	public, admin string // addresses
	log           strings.Builder
	reading       sync.WaitGroup
}

// StartNode runs the program with args until the test ends, and shows its log if
// the test fails.
func StartNode(t testing.TB, program string, args ...string) *Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := &Node{t: t, program: program, control: filepath.Join(dir, "control")}
	n.args = append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ops", "off", "--log-format", "json"}, args...)
	n.start()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			text := n.log.String()
			t.Logf("the log of a node ends:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return n
}

// start runs the process and returns when its ports are open.
func (n *Node) start() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd = exec.Command(n.program, n.args...)
	// An earlier program passes over a variable that it does not know, and would refuse a flag.
	n.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1", "MILLRACE_CONTROL="+n.control)
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadBytes('\n')
		n.log.Write(line)
		if err != nil {
			n.t.Fatalf("a node has not become ready: %v\n%s", err, n.log.String())
		}
		var entry struct{ Msg, Public, Admin string }
		if json.Unmarshal(line, &entry); entry.Msg == "millrace is ready" {
			n.public, n.admin = entry.Public, entry.Admin
			break
		}
	}
	n.reading.Go(func() {
		io.Copy(writer(func(p []byte) {
			n.mu.Lock()
			n.log.Write(p)
			n.mu.Unlock()
		}), lines)
	})
}

// awaitEngine waits until the node has said that it is connected.
func (n *Node) awaitEngine() {
	n.t.Helper()
	within(n.t, "the node is connected to the engine", func() {
		for connected := false; !connected; <-time.After(5 * time.Millisecond) {
			n.mu.Lock()
			connected = strings.Contains(n.log.String(), `"msg":"connected to `)
			n.mu.Unlock()
		}
	})
}

// kill ends the process without giving it a chance to say so.
func (n *Node) kill() {
	n.mu.Lock()
	cmd, successors := n.cmd, n.successors
	n.cmd, n.successors = nil, nil
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill()
	for _, pid := range successors {
		syscall.Kill(pid, syscall.SIGKILL)
		for syscall.EINTR == wait(pid) {
		}
	}
	n.reading.Wait()
	cmd.Wait()
}

// wait waits for the end of a child.
func wait(pid int) error {
	_, err := syscall.Wait4(pid, nil, 0, nil)
	return err
}

// upgrade has the process hand over to a new one.
func (n *Node) upgrade() {
	n.t.Helper()
	out, err := exec.Command(n.program, "upgrade", "--control", n.control, "--unsupervised", "--json").CombinedOutput()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var result struct {
		Result string
		PID    int
	}
	if json.Unmarshal(lines[len(lines)-1], &result); err != nil || result.Result != "done" {
		n.t.Fatalf("a node cannot be upgraded: %v\n%s", err, out)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.successors = append(n.successors, result.PID)
}

// Addresses returns where the node listens, or did.
func (n *Node) Addresses() (public, admin string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.public, n.admin
}

type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
