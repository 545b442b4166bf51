package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// service is a millrace that is upgraded: processes that follow each other, with one log.
type service struct {
	*process
	control string
	main    int   // the process that serves
	pids    []int // of all processes
}

// serve starts a service on free ports, which ends with the test.
func serve(t *testing.T, env []string, flags ...string) *service {
	t.Helper()
	return serveBy(t, testenv.Program(t, false), env, flags...)
}

// serveBy is serve of a program.
func serveBy(t *testing.T, program string, env []string, flags ...string) *service {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	s := &service{control: filepath.Join(dir, "control")}
	s.process = &process{t: t, log: bufio.NewScanner(r), cmd: exec.Command(program,
		append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--loops", "2", "--drain", "1s", "--control", s.control}, flags...)...)}
	s.cmd.Stderr, s.cmd.Env = w, append(os.Environ(), env...)
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	s.main = s.cmd.Process.Pid
	s.pids = []int{s.main}
	t.Cleanup(func() {
		for _, pid := range s.pids {
			unix.Kill(pid, unix.SIGKILL)
			reap(pid)
		}
	})
	addresses := regexp.MustCompile(`public=(\S+) admin=(\S+) ops=(\S+) tls=(\S+)`).FindStringSubmatch(s.logged("millrace is ready"))
	s.public, s.admin, s.ops, s.secure = addresses[1], addresses[2], addresses[3], addresses[4]
	return s
}

// reap waits for a process that a process of ours has made our child.
func reap(pid int) (status unix.WaitStatus, err error) {
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			return status, err
		}
	}
}

// halt stops such a process, and returns when all its threads stand.
func halt(t *testing.T, pid int) {
	t.Helper()
	unix.Kill(pid, unix.SIGSTOP)
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Errorf("process %d: %v, %v; want it stopped", pid, status, err)
		}
		return
	}
}

// step is a line of an upgrade, of which the last has a result.
type step struct {
	progress
	Result string `json:"result"`
}

// upgrade has the service upgraded. Each step is confirmed after at has been called with it.
func (s *service) upgrade(o order, at func(step)) outcome {
	s.t.Helper()
	return s.upgradeIf(o, func(now step) bool { at(now); return true })
}

// upgradeIf has the service upgraded, and confirms steps for which at returns true.
func (s *service) upgradeIf(o order, at func(step) bool) outcome {
	s.t.Helper()
	conn, err := net.Dial("unix", s.control)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	o.Command, o.Unsupervised, o.Confirm = orderUpgrade, true, true
	json.NewEncoder(conn).Encode(o)
	for lines := json.NewDecoder(conn); ; {
		var text json.RawMessage
		var line step
		if err := lines.Decode(&text); err != nil {
			unix.Kill(s.pids[len(s.pids)-1], unix.SIGKILL)
			var rest []string
			for s.log.Scan() {
				rest = append(rest, s.log.Text())
			}
			s.t.Fatalf("the upgrade ends without a result: %v\n%s", err, strings.Join(rest, "\n"))
		}
		if err := json.Unmarshal(text, &line); err != nil {
			s.t.Fatal(err)
		}
		if line.Result != "" {
			var result outcome
			if err := json.Unmarshal(text, &result); err != nil {
				s.t.Fatal(err)
			}
			return result
		}
		if line.Step == "started" {
			s.pids = append(s.pids, line.PID)
		}
		if at(line) {
			fmt.Fprintln(conn, "go on")
		}
	}
}

// done has the service upgraded, which has to succeed.
func (s *service) done() outcome {
	s.t.Helper()
	result := s.upgrade(order{}, func(step) {})
	if result.Result != resultDone {
		s.t.Fatalf("%+v, want %q", result, resultDone)
	}
	if status, err := reap(s.main); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		s.t.Fatalf("the old process: %v, %v; want status 0", status, err)
	}
	s.main = result.PID
	return result
}

// follower is a client of a channel.
type follower struct {
	ssetest.Client
	t *testing.T
}

// listen opens a stream.
func (s *service) listen() *follower {
	s.t.Helper()
	l := &follower{t: s.t, Client: ssetest.Client{Target: "/x"}}
	s.open(&l.Client)
	if _, err := l.Next(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(l.Close)
	return l
}

// hears fails unless the next event is n.
func (l *follower) hears(n int) {
	l.t.Helper()
	event, err := l.Next()
	for err == nil && event.Empty { // a ping
		event, err = l.Next()
	}
	if err != nil || event.Data != strconv.Itoa(n) {
		l.t.Fatalf("%+v, %v; want the event %d", event, err, n)
	}
}

// publisher publishes numbers, on one connection.
type publisher struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	n    int
}

func (s *service) publisher() *publisher {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.admin)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &publisher{t: s.t, conn: conn, r: bufio.NewReader(conn)}
}

// publish publishes the next number to as many receivers, and returns it.
func (p *publisher) publish(receivers int) int {
	p.t.Helper()
	p.n++
	p.conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(p.conn, "PUBLISH /x %d\r\n", p.n)
	if reply, err := p.r.ReadString('\n'); err != nil || reply != fmt.Sprintf(":%d\r\n", receivers) {
		p.t.Fatalf("publish %d: %q, %v; want %d receivers", p.n, reply, err, receivers)
	}
	return p.n
}
