package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/testenv"
)

// limited is a server in a process of its own with few descriptors.
type limited struct {
	t    *testing.T
	addr string
	in   io.Writer
	out  *bufio.Reader
}

// limitedStats is what the process tells of itself.
type limitedStats struct {
	Stats
	CPU  time.Duration // of the process so far
	Room int64
}

const (
	limitedEnv       = "MILLRACE_TEST_MAX_CONNECTIONS"
	limitedTablesEnv = "MILLRACE_TEST_FD_TABLES"
)

// startLimited runs TestLimitedServer under ulimit -n 256, and under the command
// that within names, if any.
func startLimited(t *testing.T, maxConnections int, within ...string) *limited {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	args := append([]string{"-c", `ulimit -n 256 && exec "$0" "$@"`}, within...)
	cmd := exec.CommandContext(ctx, "sh", append(args, os.Args[0], "-test.run", "^TestLimitedServer$")...)
	cmd.Env = append(os.Environ(), limitedEnv+"="+strconv.Itoa(maxConnections))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &limited{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close() // which ends it
		io.Copy(io.Discard, l.out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server's process: %v", err)
		}
		cancel()
	})
	l.ask("", &l.addr)
	return l
}

// ask sends a line, if any, and reads the answer, a line of JSON.
func (l *limited) ask(line string, answer any) {
	l.t.Helper()
	if line != "" {
		fmt.Fprintln(l.in, line)
	}
	text, err := l.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		l.t.Fatalf("asking %q: %q, %v", line, text, err)
	}
}

func (l *limited) stats() (s limitedStats) {
	l.t.Helper()
	l.ask("stats", &s)
	return s
}

// TestLimitedServer is no test but the process that startLimited starts.
func TestLimitedServer(t *testing.T) {
	limit, err := strconv.Atoi(os.Getenv(limitedEnv))
	if err != nil {
		t.Skip("runs only as another test's server process")
	}
	b := channels.NewBroker(channels.Options{})
	s, err := New(Config{Listen: "127.0.0.1:0", Loops: 2, MaxConnections: limit, FDTables: FDTables(os.Getenv(limitedTablesEnv)), Logger: slog.New(slog.DiscardHandler)}, b)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Close()
	out := json.NewEncoder(os.Stdout)
	out.Encode(s.Addr().String())
	var taken []*os.File
	defer func() { runtime.KeepAlive(taken) }() // collected as garbage, they would be closed
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if n, ok := strings.CutPrefix(in.Text(), "take "); ok { // for something else
			for range must(strconv.Atoi(n)) {
				taken = append(taken, must(os.Open(os.DevNull)))
			}
			out.Encode(true)
			continue
		}
		if data, ok := strings.CutPrefix(in.Text(), "publish "); ok {
			n, err := b.Publish("/x", channels.Event{Data: []byte(data)})
			if err != nil {
				t.Fatal(err)
			}
			out.Encode(n.Receivers)
			continue
		}
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		out.Encode(limitedStats{s.Stats(), time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), int64(s.Room())})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// crowd is many clients that want a stream; what becomes of each is counted.
type crowd struct {
	open, left, turnedAway, heard atomic.Int64
	leave                         chan struct{} // each receive ends one open stream
}

func gather(t *testing.T, l *limited, size int) *crowd {
	c := &crowd{leave: make(chan struct{})}
	for range size {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		go func() {
			defer conn.Close()
			fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				switch line := lines.Text(); {
				case line == ":":
					c.open.Add(1)
					go func() {
						<-c.leave
						c.open.Add(-1)
						conn.Close()
						c.left.Add(1)
					}()
				case strings.HasPrefix(line, "retry: "):
					c.turnedAway.Add(1)
				case strings.HasPrefix(line, "data: "):
					c.heard.Add(1)
				}
			}
		}()
	}
	return c
}

// Ensure that a server out of descriptors lives, costs next to nothing while it
// waits, keeps serving every open stream, and lets new ones in as old ones
// leave.
func TestOutOfDescriptors(t *testing.T) {
	l := startLimited(t, 0)
	var taken bool
	l.ask("take 180", &taken) // much more than is kept for all that is no client
	c := gather(t, l, 1000)
	defer close(c.leave)
	var streams int64 // when it was last looked
	settled := func() bool {
		s, before := l.stats(), streams
		streams = s.Streams
		return s.AcceptPauses > 3 && s.Streams > 20 && s.Streams == c.open.Load() && s.Streams == before
	}
	testenv.Eventually(t, "the descriptors are used up", settled)

	before := l.stats()
	const window = 2 * time.Second
	<-time.After(window)
	after := l.stats()
	if share := float64(after.CPU-before.CPU) / float64(window); share > 0.05 {
		t.Errorf("while out of descriptors it takes %.1f %% of a processor, want at most 5", 100*share)
	}
	if after.AcceptPauses == before.AcceptPauses {
		t.Error("it does not try to accept again")
	}

	broadcast := func() {
		t.Helper()
		heard := c.heard.Load()
		var receivers int64
		l.ask("publish news", &receivers)
		if receivers != c.open.Load() {
			t.Errorf("%d receivers, want the %d open streams", receivers, c.open.Load())
		}
		testenv.Eventually(t, "every open stream hears the news", func() bool { return c.heard.Load() == heard+receivers })
	}
	broadcast()
	accepted, open := after.Accepted, c.open.Load()
	const leaving = 20
	for range leaving {
		c.leave <- struct{}{}
	}
	testenv.Eventually(t, "as many are let in as have left", func() bool {
		return c.left.Load() == leaving && l.stats().Accepted == accepted+leaving && c.open.Load() == open && settled()
	})
	broadcast()
	if n := c.turnedAway.Load(); n != 0 {
		t.Errorf("%d clients were turned away, though the limit is not reached", n)
	}
}

// Ensure that with a connection limit far above what the descriptor tables have
// room for, everybody is told to come back later who finds no room.
func TestCrowdAboveRoom(t *testing.T) {
	for _, tables := range []FDTables{FDTablesShared, FDTablesAuto} {
		t.Run(string(tables), func(t *testing.T) {
			l := startLimited(t, 100_000, "env", limitedTablesEnv+"="+string(tables))
			const size = 1000
			c := gather(t, l, size)
			defer close(c.leave)
			testenv.Eventually(t, "every client has a stream or is told to come back", func() bool {
				return c.open.Load()+c.turnedAway.Load() == size
			})
			if room := l.stats().Room; c.open.Load() > room || tables == FDTablesShared && c.open.Load() != room {
				t.Errorf("%d streams, with room for %d", c.open.Load(), room)
			}
		})
	}
}

// Ensure that with the connection limit that the descriptor limit gives, there
// are always descriptors to tell the rest of a crowd to come back later.
func TestCrowdAtDefaultLimit(t *testing.T) {
	l := startLimited(t, 0)
	const limit = 256 - 128
	c := gather(t, l, 1000)
	defer close(c.leave)
	testenv.Eventually(t, "every client has a stream or is told to come back", func() bool {
		return c.open.Load() == limit && c.turnedAway.Load() == 1000-limit
	})
	if s := l.stats(); s.Streams != limit {
		t.Errorf("%d streams, want %d", s.Streams, limit)
	}
	var receivers int
	l.ask("publish news", &receivers)
	if receivers != limit {
		t.Errorf("%d receivers, want %d", receivers, limit)
	}
	testenv.Eventually(t, "every open stream hears the news", func() bool { return c.heard.Load() == limit })
	for range 20 {
		c.leave <- struct{}{}
	}
	testenv.Eventually(t, "those who left are forgotten", func() bool { return l.stats().Streams == limit-20 })
	again := gather(t, l, 20)
	defer close(again.leave)
	testenv.Eventually(t, "new ones are let in", func() bool { return again.open.Load() == 20 })
}
