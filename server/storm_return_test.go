package server

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/bench/storm"
	"millrace/channels"
)

// returning is a client that comes back, as an EventSource does.
type returning struct {
	attempts int           // since it lost its stream
	outage   time.Duration // until it had one again
}

// follow has a client lose its stream and come back to another server, having
// waited as long as it was told last. It calls ready when its first is open.
func (r *returning) follow(first, second string, told time.Duration, ready func()) error {
	conn, _, err := openStream(first)
	if err != nil || conn == nil {
		ready()
		return fmt.Errorf("the first stream: %v", err)
	}
	lines := bufio.NewReader(conn)
	ready()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if ms, found := strings.CutPrefix(line, "retry: "); found {
			n, err := strconv.Atoi(strings.TrimSpace(ms))
			if err != nil {
				return err
			}
			told = time.Duration(n) * time.Millisecond
		}
	}
	conn.Close()
	for lost := time.Now(); ; {
		time.Sleep(told)
		r.attempts++
		if conn, told, err = openStream(second); err != nil {
			return err
		}
		if conn != nil {
			r.outage = time.Since(lost)
			return conn.Close()
		}
	}
}

// openStream returns a stream, or how long the client is told to wait.
func openStream(addr string) (_ net.Conn, wait time.Duration, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
	lines, line := bufio.NewReader(conn), ""
	for line != "\r\n" {
		if line, err = lines.ReadString('\n'); err != nil {
			return nil, 0, err
		}
	}
	if line, err = lines.ReadString('\n'); err != nil || line == ":\n" {
		return conn, 0, err
	}
	conn.Close()
	ms, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "retry: ")))
	return nil, time.Duration(ms) * time.Millisecond, err
}

// Ensure that clients of a server that is closed, or drained, come back to another
// one as they do in the simulation: as often, and after as long at least.
func TestStormAsSimulated(t *testing.T) {
	if testing.Short() {
		t.Skip("clients wait for seconds: not with -short")
	}
	const clients = 400
	for _, tt := range []struct {
		name  string
		drain time.Duration
		rate  Rate
	}{
		{"killed", 0, Rate{}},
		{"killed, accept rate", 0, Rate{Events: 200, Period: time.Second}},
		{"drained", 3 * time.Second, Rate{}},
	} {
		first, _ := start(t, Config{Loops: 1, Drain: tt.drain}, channels.Options{})
		second, _ := start(t, Config{Loops: 2, AcceptRate: tt.rate}, channels.Options{})
		plan := storm.Plan{Nodes: 2, Streams: clients, Lost: 1, Drain: tt.drain, Retry: 200 * time.Millisecond, AcceptRate: storm.Rate(tt.rate), Backlog: clients}
		course, err := storm.Run(plan)
		if err != nil {
			t.Fatal(err)
		}
		all := make([]returning, clients)
		var ready, done sync.WaitGroup
		ready.Add(clients)
		for i := range all {
			done.Go(func() {
				if err := all[i].follow(first.Addr().String(), second.Addr().String(), plan.Retry, ready.Done); err != nil {
					t.Error(err)
				}
			})
		}
		ready.Wait()
		first.Drain()
		done.Wait()
		attempts, outages := 0, make([]time.Duration, 0, clients)
		for _, r := range all {
			attempts += r.attempts
			outages = append(outages, r.outage)
		}
		slices.Sort(outages)
		t.Logf("%s: %d attempts, simulated %d; without a stream at p50 %v and at most %v, simulated %v and %v", tt.name, attempts, course.Attempts,
			outages[clients/2].Round(time.Millisecond), outages[clients-1].Round(time.Millisecond), course.Outage(50), course.Outage(100))
		if attempts > course.Attempts || attempts < course.Attempts*8/10 { // tokens flow in while they come
			t.Errorf("%s: %d attempts, simulated %d", tt.name, attempts, course.Attempts)
		}
		for i, percent := range []float64{0, 50, 100} {
			got, want := outages[min(i*clients/2, clients-1)], course.Outage(percent)
			if got < want*8/10-storm.Step {
				t.Errorf("%s: %v without a stream at p%v, simulated %v", tt.name, got, percent, want)
			}
		}
	}
}
