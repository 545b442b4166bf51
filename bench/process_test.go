package bench

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	parts := Parts()
	parts["millrace"] = new(MillracePart)
	parts["resumers"] = Resumers{}
	parts["sleepers"] = new(Sleepers)
	ServeParts(parts)
	os.Exit(testMain(m))
}

// testDir is for what tests share. It is removed at the end.
var testDir string

func testMain(m *testing.M) int {
	var err error
	if testDir, err = os.MkdirTemp("", "bench"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(testDir)
	return m.Run()
}

// startPart runs a part until the test ends.
func startPart(t testing.TB, name string, environment ...string) *Process {
	t.Helper()
	p, err := Start(name, environment...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// call calls a method of a part.
func call(t testing.TB, p *Process, method string, args, reply any) {
	t.Helper()
	if err := p.Call(patience, method, args, reply); err != nil {
		t.Fatal(err)
	}
}

// A floor and its streams, each in a process of its own.
func TestProcesses(t *testing.T) {
	const streams, size = 100, 10
	floor, clients := startPart(t, "floor"), startPart(t, "streams")
	var addr string
	call(t, floor, "Listen", ListenArgs{Loops: 2}, &addr)
	var r Report
	call(t, clients, "Open", Config{Addr: addr, Streams: streams, PayloadSize: size}, &r)
	call(t, floor, "Broadcast", AppendEvent(nil, 0, size), &None{})
	call(t, clients, "Await", AwaitArgs{0, patience}, &None{})
	call(t, clients, "Report", None{}, &r)
	if r.Open != streams || r.Events != streams {
		t.Errorf("%s, want %d streams with one event each", r, streams)
	}
	cpu, err := floor.CPU()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	memory, err2 := floor.Memory()
	if err := errors.Join(err, err2); err != nil || cpu <= 0 || cpu > time.Minute || memory < 1<<16 || memory > 1<<32 {
		t.Errorf("the floor has used %v of processor time and %d bytes, %v", cpu, memory, err)
	}
}

// A part ends when its parent lets it go, also in the middle of a call.
func TestProcessEnds(t *testing.T) {
	clients := startPart(t, "streams")
	f := startFloor(t, 1, nil)
	var r Report
	call(t, clients, "Open", Config{Addr: f.Addr().String()}, &r)
	if err := clients.Call(time.Millisecond, "Await", AwaitArgs{0, time.Hour}, &None{}); !errors.Is(err, ErrTimeout) {
		t.Fatalf("awaiting what never comes: %v, want %v", err, ErrTimeout)
	}
	before := time.Now()
	clients.Close()
	if took := time.Since(before); took > 4*time.Second {
		t.Errorf("the process had to be killed, after %v", took)
	}
	if err := syscall.Kill(clients.PID(), 0); err != syscall.ESRCH {
		t.Errorf("process %d is still there: %v", clients.PID(), err)
	}
}

// Ensure that an owned program does not end with some thread of this one.
func TestOwnedOutlivesThreads(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ended, err := startOwned(cmd, func() { io.Copy(io.Discard, out) })
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		var threads sync.WaitGroup
		threads.Go(runtime.LockOSThread) // which ends the thread with the goroutine
		threads.Wait()
	}
	if _, err := in.Write([]byte("still there")); err != nil {
		t.Errorf("the program has ended: %v", err)
	}
	in.Close()
	<-ended
	if !cmd.ProcessState.Success() {
		t.Errorf("the program was ended: %v", cmd.ProcessState)
	}
}

// TestVariables: a role is no flag of millbench, which takes every MILLBENCH_*
// for one, nor a setting that millrace would warn of.
func TestVariables(t *testing.T) {
	for _, name := range []string{partVariable, networkVariable} {
		for _, taken := range []string{"MILLBENCH_", "MILLRACE_"} {
			if strings.HasPrefix(name, taken) {
				t.Errorf("%s begins with %s, the prefix of flags", name, taken)
			}
		}
	}
}

// Ensure that a line of the log which comes in the middle of one of the collector's
// trace is told apart from it.
func TestPausesBesideALog(t *testing.T) {
	const trace = "gc 1 @0.023s 1%: 0.042+7.5+0.020 ms clock, 0.085+0.17/0.61/0+0.040 ms cpu, 3->4->1 MB"
	const log = `{"level":"INFO","msg":"millrace is ready"}`
	for i := 3; i <= len(trace); i++ {
		var p pauses
		var lines []string
		text := trace[:i] + log + "\n" + trace[i:] + "\nend\n"
		p.follow(strings.NewReader(text), func(line string) { lines = append(lines, line) })
		if got := p.all(); len(got) != 2 || got[0] != 42*time.Microsecond || got[1] != 20*time.Microsecond || len(lines) != 2 || lines[0] != log || lines[1] != "end" {
			t.Fatalf("%q: pauses %v, lines %q", text, got, lines)
		}
	}
}
