package enginetest

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// Node is one millrace, a process of its own, that can be killed and started
// again. Its addresses differ each time.
type Node struct {
	t       testing.TB
	program string
	args    []string

	mu            sync.Mutex
	cmd           *exec.Cmd
	public, admin string // addresses
	log           strings.Builder
	reading       sync.WaitGroup
}

// StartNode runs the program with args until the test ends, and shows its log if
// the test fails.
func StartNode(t testing.TB, program string, args ...string) *Node {
	t.Helper()
	n := &Node{t: t, program: program, args: append([]string{
		"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ops", "off", "--log-format", "json",
	}, args...)}
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
	n.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
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
	cmd := n.cmd
	n.cmd = nil
	n.mu.Unlock()
	if cmd != nil {
		cmd.Process.Kill()
		n.reading.Wait()
		cmd.Wait()
	}
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
