package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/testenv"
)

// Ensure that streams and publishers stay, over several upgrades and by the command that
// people use; and that the last process ends in order.
func TestUpgrade(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil)
	streams, p := []*follower{s.listen(), s.listen(), s.listen()}, s.publisher()
	hear := func() {
		t.Helper()
		n := p.publish(len(streams))
		for _, l := range streams {
			l.hears(n)
		}
	}
	hear()
	id := streams[0].LastID
	for range 3 {
		hear()
		if result := s.done(); result.Streams != int64(len(streams)) || result.Ended != 0 {
			t.Errorf("%+v, want %d streams", result, len(streams))
		}
		hear()
		streams = append(streams, s.listen()) // at the new process
		hear()
	}
	if epoch, _, _ := strings.Cut(id, "-"); !strings.HasPrefix(streams[0].LastID, epoch+"-") {
		t.Errorf("ids went on from %s to %s, want one epoch", id, streams[0].LastID)
	}
	got := execute(t, s.cmd.Path, nil, "upgrade", "--control", s.control, "--unsupervised", "--", "--keepalive", "7s")
	if got.status != 0 || !strings.Contains(got.stdout, "done: process ") {
		t.Fatalf("%+v, want status 0", got)
	}
	reap(s.main)
	pid, err := strconv.Atoi(regexp.MustCompile(`process (\d+) has been started`).FindStringSubmatch(got.stdout)[1])
	if err != nil {
		t.Fatal(err)
	}
	s.pids = append(s.pids, pid)
	hear()
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || !strings.Contains(string(args), "\x00--keepalive\x007s\x00") {
		t.Errorf("the command line %q, %v; want the flag that was given", args, err)
	}
	fmt.Fprint(p.conn, "INFO upgrades\r\n")
	for want := range strings.FieldsSeq("upgrades_done:4 upgrades_failed:0 upgrade_streams:6 upgrade_ended:0") {
		for line := ""; line != want+"\r\n"; {
			if line, err = p.r.ReadString('\n'); err != nil {
				t.Fatalf("INFO has no %s: %v", want, err)
			}
		}
	}
	metrics, err := http.Get("http://" + s.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	if text, err := io.ReadAll(metrics.Body); err != nil || !strings.Contains(string(text), "\nmillrace_upgrades_total{result=\"done\"} 4\n") ||
		!strings.Contains(string(text), "\nmillrace_upgrade_streams 6\n") {
		t.Errorf("%v, %s\nwant 4 upgrades that are done", err, text)
	}
	unix.Kill(pid, unix.SIGTERM)
	if status, err := reap(pid); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("after SIGTERM: %v, %v; want status 0", status, err)
	}
	if _, err := os.Stat(s.control); err == nil {
		t.Errorf("%s is there after the end", s.control)
	}
}

// Ensure that the program goes on that stands at the path by which the server was started, when
// a package has replaced it.
func TestUpgradeToReplaced(t *testing.T) {
	t.Parallel() // it waits most of the time
	old, next := filepath.Join(t.TempDir(), "millrace"), filepath.Join(t.TempDir(), "millrace")
	program, err := os.ReadFile(testenv.Program(t, false))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{old, next} {
		if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := serveBy(t, old, nil)
	l, p := s.listen(), s.publisher()
	if err := os.Rename(next, old); err != nil {
		t.Fatal(err)
	}
	result := s.done()
	l.hears(p.publish(1))
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", result.PID)); err != nil || exe != old {
		t.Errorf("the new process runs %s, %v; want %s", exe, err, old)
	}
}

// Ensure that a SIGHUP during an upgrade counts for the new process, too.
func TestUpgradeReloaded(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil)
	result := s.upgrade(order{}, func(at step) {
		switch at.Step {
		case "started":
			<-time.After(1500 * time.Millisecond) // signs of life come before the hello
		case "loaded":
			unix.Kill(s.main, unix.SIGHUP)
			s.logged("SIGHUP: nothing to take over")
		}
	})
	if result.Result != resultDone {
		t.Fatalf("%+v, want %q", result, resultDone)
	}
	s.logged("millrace is ready")
	s.logged("SIGHUP: nothing to take over")
}

// Ensure that two servers do not share a control socket, and that what is left of one is no
// hindrance.
func TestControlSocketInUse(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil)
	got := execute(t, s.cmd.Path, nil, "--listen", "127.0.0.1:0", "--admin", "off", "--ops", "off", "--control", s.control)
	if got.status != 1 || !strings.Contains(got.stderr, "another process answers at "+s.control) {
		t.Errorf("%+v, want status 1", got)
	}
	unix.Kill(s.main, unix.SIGKILL)
	reap(s.main)
	again := serve(t, nil, "--control", s.control)
	again.control = s.control
	again.done()
}

// Ensure that a control socket can move with an upgrade, and that none is left where it was.
func TestUpgradeMovesControl(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil)
	was := s.control
	s.upgrade(order{Flags: []string{"--control", was + "2"}}, func(step) {})
	reap(s.main)
	if _, err := os.Lstat(was); err == nil {
		t.Errorf("%s is there after the upgrade", was)
	}
	s.control += "2"
	if info, err := os.Lstat(s.control); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%s: %v, %v; want a socket of its owner's", s.control, info, err)
	}
	s.main = s.pids[len(s.pids)-1]
	s.done()
}

// Ensure that what cannot be done is refused in words, and that nothing has changed then.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil, "--drain", "1m")
	other := serve(t, nil)
	l, p := s.listen(), s.publisher()
	fewer := filepath.Join(t.TempDir(), "fewer")
	if err := os.WriteFile(fewer, []byte("#!/bin/sh\nulimit -n 1000\nexec "+s.cmd.Path+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := func(args ...string) []string { return args }
	for _, tt := range []struct {
		args []string
		want string
	}{
		{args("--unsupervised", "--binary", fewer), "descriptor limit: "},
		{args(), "NOTIFY_SOCKET"},
		{args("--control", "/nowhere/control", "--unsupervised"), "is millrace running"},
		{args("--unsupervised", "--binary", "/nowhere/millrace"), "/nowhere/millrace: no such file"},
		{args("--unsupervised", "--binary", "/"), "no program"},
		{args("--unsupervised", "--", "--control", fewer), "failed: "},
		{args("--unsupervised", "--", "--control", other.control), "failed: "},
		{args("--unsupervised", "--binary", "/bin/true"), "failed: "},
		{args("--unsupervised", "--", "--bogus"), "failed: "},
		{args("--unsupervised", "--", "--history", "0"), "--history above 0: true in the running process, false in the new one"},
		{args("--unsupervised", "--", "--listen", "127.0.0.1:1"), "--listen: 127.0.0.1:0 in the running process, 127.0.0.1:1 in the new one"},
		{args("--unsupervised", "--", "--admin", "off"), "--admin: "},
		{args("--unsupervised", "--", "--loops", "3"), "loops: 2 in the running process, 3 in the new one"},
		{args("--unsupervised", "--", "--proxy-protocol", "--trusted-proxies", "127.0.0.1"), "--proxy-protocol: "},
		{args("--unsupervised", "--", "--decode", "*=turbo", "--gzip", "/*"), "--gzip: "},
		{args("--unsupervised", "--", "--ticket-key", "random"), "a grant for each stream: not set in the running process, needed in the new one"},
		{args("--unsupervised", "--", "--admin-password", "x"), "a password of the admin port: not set in the running process, needed in the new one"},
		{args("--unsupervised", "--", "--history-bytes", "1KiB"), "failed: "},
	} {
		given := tt.args
		if given == nil || given[0] != "--control" {
			given = append([]string{"--control", s.control}, given...)
		}
		got := execute(t, s.cmd.Path, nil, append([]string{"upgrade"}, given...)...)
		if got.status != 1 || !strings.Contains(got.stderr, tt.want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%q: %+v, want status 1 and one line with %q", tt.args, got, tt.want)
		}
		l.hears(p.publish(1))
	}
	if info, err := os.Lstat(fewer); err != nil || !info.Mode().IsRegular() {
		t.Errorf("a file that --control named is %v, %v; want it left alone", info.Mode(), err)
	}
	other.done() // by a control socket that is its own
	if result, err := command(t.Context(), s.control, order{Command: orderUpgrade, Unsupervised: true, Binary: "bin/millrace"}, func([]byte) {}); err != nil ||
		result.Result != resultRefused || !strings.Contains(result.Why, "want an absolute path") {
		t.Errorf("a program by a relative path: %+v, %v", result, err)
	}
	var why string
	s.upgrade(order{}, func(at step) {
		if at.Step == "hello" {
			got := execute(t, s.cmd.Path, nil, "upgrade", "--control", s.control, "--unsupervised")
			why = got.stderr
		}
	})
	if !strings.Contains(why, "another upgrade is under way") {
		t.Errorf("an upgrade within another: %q", why)
	}
	l.hears(p.publish(1))
	unix.Kill(s.pids[len(s.pids)-1], unix.SIGTERM)
	s.logged("draining")
	if got := execute(t, s.cmd.Path, nil, "upgrade", "--control", s.control, "--unsupervised"); !strings.Contains(got.stderr, "millrace is stopping") {
		t.Errorf("an upgrade during the drain: %+v", got)
	}
}

// Ensure that nobody but root and the server's user may give orders.
func TestControlSocketRefusesOthers(t *testing.T) {
	t.Parallel() // it waits most of the time
	if os.Getuid() != 0 {
		t.Skip("it takes root to be another user")
	}
	s := serve(t, nil)
	for _, path := range []string{filepath.Dir(s.control), s.control} { // the server itself has to say no
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	client := exec.Command(testenv.Need(t, "nc"), "-U", s.control)
	client.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, err := client.StdinPipe() // open until there is an answer
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Wait()
	defer client.Process.Kill()
	fmt.Fprintln(in, `{"command":"upgrade","unsupervised":true}`)
	answer, err := bufio.NewReader(out).ReadString('\n')
	if !strings.Contains(answer, "user 65534 may not, want root") {
		t.Errorf("%q, %v; want a refusal", answer, err)
	}
}

// Ensure that a successor which is killed at any step before the switch leaves everything as
// it was, and that the next upgrade succeeds.
func TestUpgradeTakenBack(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil, "--loops", "3", "--fd-tables", "per-loop")
	streams, p := []*follower{s.listen(), s.listen(), s.listen(), s.listen()}, s.publisher()
	hear := func() {
		t.Helper()
		n := p.publish(len(streams))
		for _, l := range streams {
			l.hears(n)
		}
	}
	waiting := map[string]bool{"sent": true, "prepared": true, "committed": true, "frozen": true} // some or all
	for _, tt := range []struct{ step, result string }{
		{"started", resultFailed}, {"hello", resultFailed},
		{"sent", resultTakenBack}, {"prepared", resultTakenBack}, {"committed", resultTakenBack}, {"serving", resultTakenBack}, {"moved", resultTakenBack}, {"frozen", resultTakenBack},
	} {
		killed := 0
		result := s.upgrade(order{}, func(at step) {
			if name, _, _ := strings.Cut(at.Step, ":"); name == tt.step && killed == 0 {
				if !waiting[tt.step] {
					hear()
				}
				killed = at.PID
				unix.Kill(killed, unix.SIGKILL)
			}
		})
		if result.Result != tt.result || killed == 0 {
			t.Errorf("killed at %s: %+v, want %q", tt.step, result, tt.result)
		}
		hear()
	}
	s.done()
	hear()
}

// Ensure that a successor which is stopped is given up, and that one whose predecessor is
// stopped gives up by itself: both could go on later.
func TestUpgradeSilent(t *testing.T) {
	type stop struct{ step, stopped string }
	stops := []stop{{"frozen", "successor"}, {"committed", "predecessor"}}
	if testenv.Full() {
		stops = append(stops, stop{"sent", "successor"}, stop{"prepared", "successor"}, stop{"serving", "successor"},
			stop{"sent", "predecessor"}, stop{"prepared", "predecessor"}, stop{"moved", "predecessor"}, stop{"frozen", "predecessor"})
	}
	for _, tt := range stops {
		t.Run(tt.stopped+" at "+tt.step, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			streams, p := []*follower{s.listen(), s.listen(), s.listen(), s.listen()}, s.publisher()
			done := false
			result := s.upgrade(order{}, func(at step) {
				if name, _, _ := strings.Cut(at.Step, ":"); name != tt.step || done {
					return
				}
				done = true
				if tt.stopped == "successor" {
					unix.Kill(at.PID, unix.SIGSTOP)
					return
				}
				unix.Kill(s.main, unix.SIGSTOP)
				if status, err := reap(at.PID); err != nil || !status.Exited() || status.ExitStatus() != 1 {
					t.Errorf("the successor: %v, %v; want status 1", status, err)
				}
				unix.Kill(s.main, unix.SIGCONT)
			})
			if result.Result != resultTakenBack {
				t.Errorf("%+v, want %q", result, resultTakenBack)
			}
			n := p.publish(len(streams))
			for _, l := range streams {
				l.hears(n)
			}
		})
	}
}

// Ensure that a process which is told to end during an upgrade takes everything back, and ends
// in order.
func TestUpgradeStopped(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil)
	l, p := s.listen(), s.publisher()
	l.hears(p.publish(1))
	result := s.upgradeIf(order{}, func(at step) bool {
		if at.Step == "moved" {
			s.signal()
		}
		return at.Step != "moved"
	})
	if result.Result != resultTakenBack || !strings.Contains(result.Why, "terminated") {
		t.Errorf("%+v, want it taken back because of a signal", result)
	}
	for {
		event, err := l.Next()
		if err == io.EOF {
			break
		}
		if err != nil || event.Data != "" {
			t.Fatalf("%+v, %v; want a drain", event, err)
		}
	}
	if status, err := reap(s.pids[0]); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("after SIGTERM: %v, %v; want status 0", status, err)
	}
}

// Ensure that a successor whose predecessor is killed serves what has come.
func TestUpgradeOrphaned(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil)
	var streams []*follower
	for range 8 {
		streams = append(streams, s.listen())
	}
	p := s.publisher()
	p.publish(len(streams))
	conn, err := net.Dial("unix", s.control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	json.NewEncoder(conn).Encode(order{Command: orderUpgrade, Unsupervised: true, Confirm: true})
	for lines := json.NewDecoder(conn); ; fmt.Fprintln(conn, "go on") {
		var at step
		if err := lines.Decode(&at); err != nil || at.Result != "" {
			t.Fatalf("%+v, %v", at, err)
		}
		if at.Step == "started" {
			s.pids = append(s.pids, at.PID)
		}
		if at.Step == "moved" {
			break
		}
	}
	unix.Kill(s.pids[0], unix.SIGKILL)
	s.logged("going on with what has come")
	s.logged("millrace is ready")
	p = s.publisher()
	p.n = 1
	n := p.publish(len(streams))
	for _, l := range streams {
		l.hears(1)
		l.hears(n)
	}
}

// Ensure that systemd is told of the new process by the old one, and by the new one that it
// is ready only then.
func TestUpgradeTellsSystemd(t *testing.T) {
	t.Parallel() // it waits most of the time
	socket := listenNotify(t)
	s := serve(t, []string{"NOTIFY_SOCKET=" + socket.LocalAddr().String()})
	wantState(t, socket, "READY=1")
	l, p := s.listen(), s.publisher()
	over := make(chan outcome, 1)
	go func() { over <- s.upgrade(order{}, func(step) {}) }()
	b, rights := make([]byte, 256), make([]byte, 256)
	n, _, _, _, err := socket.ReadMsgUnix(b, rights)
	if err != nil {
		t.Fatal(err)
	}
	main := string(b[:n])
	n, control, _, _, err := socket.ReadMsgUnix(b, rights)
	if string(b[:n]) != "BARRIER=1" || err != nil {
		t.Fatalf("systemd was told %q (%v) after %q, want a barrier", b[:n], err, main)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:control])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages of control, %v; want a descriptor", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[0])
	wantState(t, socket, "READY=1")
	if result := <-over; result.Result != resultDone || main != fmt.Sprintf("MAINPID=%d", result.PID) {
		t.Errorf("%+v, and systemd was told %q", result, main)
	}
	l.hears(p.publish(1))
}
