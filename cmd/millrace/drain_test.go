package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// process is the real binary at work.
type process struct {
	t                  *testing.T
	cmd                *exec.Cmd
	log                *bufio.Scanner
	public, admin, ops string // addresses
	secure             string // that of the public port with TLS, if there is one
}

// open opens a stream of c, within patience.
func (p *process) open(c *ssetest.Client) {
	p.t.Helper()
	if err := c.Open(c.Via.Of(p.public, p.secure), time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
}

// launch starts binary, on free ports unless flags say otherwise, and kills it
// when the test ends.
func launch(t *testing.T, binary string, flags ...string) *process {
	t.Helper()
	return launchCommand(t, binary, "serve", flags...)
}

// launchOver is launch of one that has a port for a transport, too.
func launchOver(t *testing.T, via ssetest.Transport, binary string, flags ...string) *process {
	t.Helper()
	if via != ssetest.Plain {
		cert, key := testenv.Certificate(t, "localhost", "127.0.0.1")
		flags = append(flags, "--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	}
	return launch(t, binary, flags...)
}

// launchCommand is launch for another command that serves.
func launchCommand(t *testing.T, binary, command string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, append([]string{command, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ops", "off"}, flags...)...)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	p.log = bufio.NewScanner(stderr)
	addresses := regexp.MustCompile(`public=(\S+) admin=(\S+) ops=(\S+) tls=(\S+)`).FindStringSubmatch(p.logged("millrace is ready"))
	p.public, p.admin, p.ops, p.secure = addresses[1], addresses[2], addresses[3], addresses[4]
	return p
}

// logged returns the next line of the log with text in it.
func (p *process) logged(text string) string {
	p.t.Helper()
	stuck := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer stuck.Stop()
	var passed []string
	for p.log.Scan() {
		if line := p.log.Text(); strings.Contains(line, text) {
			return line
		}
		passed = append(passed, p.log.Text())
	}
	p.t.Fatalf("the log ends without %q:\n%s", text, strings.Join(passed, "\n"))
	return ""
}

// subscribers returns how many streams a publisher reaches.
func (p *process) subscribers() (n int) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.admin)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "PUBSUB NUMSUB /x\r\n")
	if _, err := fmt.Fscanf(conn, "*2\r\n$2\r\n/x\r\n:%d\r\n", &n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *process) signal() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// publish publishes data and returns how many received it.
func (p *process) publish(data string) (receivers int) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.admin)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "PUBLISH /x %s\r\n", data)
	if _, err := fmt.Fscanf(conn, ":%d\r\n", &receivers); err != nil {
		p.t.Fatal(err)
	}
	return receivers
}

// Ensure that two servers which share nothing hand clients over one by one, none
// of which loses anything without being told; and that a drained server ends in
// order, having said how far it was.
func TestHandOver(t *testing.T) { ssetest.Over(t, testHandOver) }

func testHandOver(t *testing.T, via ssetest.Transport) {
	t.Parallel() // it waits most of the time
	binary := testenv.Program(t, false)
	old, next := launchOver(t, via, binary, "--drain", "3s"), launchOver(t, via, binary)
	const clients = 12
	var streams [clients]ssetest.Client
	for i := range streams {
		streams[i] = ssetest.Client{Via: via, Target: "/x"}
		old.open(&streams[i])
		if _, err := streams[i].Next(); err != nil { // from here on it has an id
			t.Fatal(err)
		}
	}
	old.publish("1")
	next.publish("1")
	old.signal()
	old.logged("draining")
	testenv.Eventually(t, "the first client is told to go", func() bool { return old.subscribers() < clients })
	next.publish("2")
	if n := old.publish("2"); n == 0 || n > clients {
		t.Errorf("%d receivers during the drain, want 1 to %d", n, clients)
	}
	testenv.Eventually(t, "the draining server refuses connections", func() bool {
		conn, err := net.Dial("tcp", via.Of(old.public, old.secure))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	later := 0 // clients that were there for what was published during the drain
	for i := range streams {
		c := &streams[i]
		heard, told := "", false
		for {
			ev, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			heard, told = heard+ev.Data, told || ev.Retry > 0
		}
		if heard == "12" {
			later++
		} else if heard != "1" {
			t.Errorf("client %d heard %q of the old server, want %q or %q", i, heard, "1", "12")
		}
		if !told {
			t.Errorf("client %d was not told when to come back", i)
		}
		next.open(c)
		for _, want := range []string{"gap", "1", "2"} { // the first is the greeting
			ev, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			var gap struct{ Reason, Oldest, Head string }
			if want == "gap" && (ev.Type != "millrace.gap" || json.Unmarshal([]byte(ev.Data), &gap) != nil || gap.Reason != "restart" || gap.Head == "") ||
				want != "gap" && ev.Data != want {
				t.Errorf("client %d, moved with the id of the old server: %+v, want %q", i, ev, want)
			}
		}
	}
	if later == 0 || later == clients {
		t.Errorf("%d of %d clients were there during the drain, want some: it was not spread", later, clients)
	}
	old.logged(`msg=draining streams=`)
	old.logged(`msg=drained`)
	if err := old.cmd.Wait(); err != nil {
		t.Errorf("after a drain: %v, want exit status 0", err)
	}
}

// Ensure that a second signal ends a drain at once.
func TestSecondSignal(t *testing.T) { ssetest.Over(t, testSecondSignal) }

func testSecondSignal(t *testing.T, via ssetest.Transport) {
	p := launchOver(t, via, testenv.Program(t, false), "--drain", "1h")
	for range 2 {
		c := ssetest.Client{Via: via, Target: "/x"}
		p.open(&c)
		defer c.Close()
	}
	p.signal()
	p.logged("draining")
	ended := make(chan struct{})
	go func() {
		p.cmd.Wait()
		close(ended)
	}()
	again := time.NewTicker(time.Second) // if the first is still being looked at
	defer again.Stop()
	deadline := time.After(patience)
	for running := true; running; {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			running = false
		case <-again.C:
		case <-deadline:
			t.Fatalf("a second SIGTERM does not end the drain within %v", patience)
		}
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("after a second SIGTERM: %v, want the end by that signal", p.cmd.ProcessState)
	}
}
