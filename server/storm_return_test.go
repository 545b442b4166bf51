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
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// returning is a client that comes back, as an EventSource does.
type returning struct {
	attempts int           // since it lost its stream
	outage   time.Duration // until it had one again
}

// follow has a client lose its stream and come back to another server, having
// waited as long as it was told last. It calls ready when its first is open.
func (r *returning) follow(via ssetest.Transport, first, second *Server, told time.Duration, ready func()) error {
	conn, lines, _, err := openStream(first, via)
	ready()
	if err != nil || conn == nil {
		return fmt.Errorf("the first stream: %v", err)
	}
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
		if conn, _, told, err = openStream(second, via); err != nil {
			return err
		}
		if conn != nil {
			r.outage = time.Since(lost)
			return conn.Close()
		}
	}
}

// openStream returns a stream with its body, or how long the client is told to wait.
func openStream(s *Server, via ssetest.Transport) (_ net.Conn, body *bufio.Reader, wait time.Duration, err error) {
	conn, err := reach(s, via, nil)
	if err != nil {
		return nil, nil, 0, err
	}
	answer, err := conn.Get("/x")
	if err != nil {
		return nil, nil, 0, err
	}
	body = bufio.NewReader(answer.Body)
	line, err := body.ReadString('\n')
	if err != nil || line == ":\n" {
		return conn, body, 0, err
	}
	conn.Close()
	ms, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "retry: ")))
	return nil, nil, time.Duration(ms) * time.Millisecond, err
}

// Ensure that clients of a server that is closed, or drained, come back to another
// one as they do in the simulation: as often, and after as long at least.
func TestStormAsSimulated(t *testing.T) {
	if testing.Short() {
		t.Skip("clients wait for seconds: not with -short")
	}
	ssetest.Over(t, testStormAsSimulated)
}

func testStormAsSimulated(t *testing.T, via ssetest.Transport) {
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
		if tt.rate != (Rate{}) && via != ssetest.Plain && !testenv.Full() {
			continue // they wait for seconds
		}
		first, _ := startOver(t, via, Config{Loops: 1, Drain: tt.drain}, channels.Options{})
		second, _ := startOver(t, via, Config{Loops: 2, AcceptRate: tt.rate}, channels.Options{})
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
				if err := all[i].follow(via, first, second, plan.Retry, ready.Done); err != nil {
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
