package server

import (
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
)

// fastReaders opens streams on target that read as fast as they can, and returns a
// function that waits until each has had as many bytes or its end, and returns how many
// have not had them.
func fastReaders(t testing.TB, s *Server, target string, n, bytes int) (lacking func() int) {
	var reading sync.WaitGroup
	var short atomic.Int32
	for range n {
		c := subscribe(t, s, target)
		reading.Go(func() {
			if _, err := io.CopyN(io.Discard, c.r, int64(bytes)); err != nil {
				short.Add(1)
			}
		})
	}
	return func() int {
		reading.Wait()
		return int(short.Load())
	}
}

// burstEvent is what burst publishes, and burstWire its size on a stream without history.
var (
	burstEvent = channels.Event{Data: []byte(strings.Repeat("x", 100))}
	burstWire  = len("data: \n\n") + len(burstEvent.Data)
)

// burst publishes events as one pipelining publisher does, and returns how long it took.
func burst(t testing.TB, b *channels.Broker, channel string, events int) time.Duration {
	t.Helper()
	began := time.Now()
	for range events {
		if _, err := b.Publish(channel, burstEvent); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began)
}

// Ensure that a burst of more than twice the backlog ends no reader that reads as fast as
// it can, and that one that never reads is lapped as ever.
func TestBurst(t *testing.T) {
	streams := 20
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		streams = 200
	}
	const events = 100_000
	s, b := start(t, Config{Loops: 2}, channels.Options{})
	never := subscribe(t, s, "/a")
	lacking := fastReaders(t, s, "/a", streams, events*burstWire)
	took := burst(t, b, "/a", events)
	if n := lacking(); n > 0 {
		t.Errorf("%d of %d readers did not get everything: %v", n, streams, s.Stats().Closed)
	}
	closed := s.Stats().Closed
	t.Logf("published in %v", took)
	if closed[reasonLapped.String()] != 1 {
		t.Errorf("%d streams lapped, want the one that never reads", closed[reasonLapped.String()])
	}
	never.Close()
}
