package server

import (
	"fmt"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that at rest connections are counted once, in the state that they have,
// and that the loops' figures add up to those of all.
func TestStatsByState(t *testing.T) {
	s, b := start(t, Config{Loops: 3}, channels.Options{})
	for range 4 {
		subscribe(t, s, "/a")
	}
	for range 2 {
		dial(t, s)
	}
	refused := dial(t, s)
	fmt.Fprintf(refused, "POST / HTTP/1.1\r\nHost: test\r\n\r\n")
	refused.line()
	publish(t, b, "/a", "x", 4)
	testenv.Eventually(t, "all is as it will stay for a while", func() bool {
		n := s.Stats()
		heads := n.Connections - n.Streams - n.Lingering
		answered := n.Lingering + int64(n.Closed["answered"]) // it lingers for 2 s at most
		return n.Streams == 4 && heads == 2 && answered == 1 && n.Deliveries == 4
	})
	n := s.Stats()
	if n.Behind != 0 || n.Opened != 4 || n.Refused != 1 || n.RefusedBy[405] != 1 || n.RefusedBy[404] != 0 {
		t.Errorf("%+v, want none behind, 4 opened, and one refused with 405", n)
	}
	testenv.Eventually(t, "the fan-outs are recorded", func() bool {
		n := s.Stats()
		fanouts := n.Fanout.Count()
		return fanouts >= 1 && fanouts <= 3 && n.Fanout.Sum > 0 // one on each loop with streams
	})
	var sum LoopStats
	for i, l := range s.LoopStats() {
		if l.Inbox != 0 {
			t.Errorf("loop %d: %d messages wait, want none", i, l.Inbox)
		}
		sum.Connections += l.Connections
		sum.Streams += l.Streams
		sum.Deliveries += l.Deliveries
		sum.Busy += l.Busy
	}
	if sum.Connections < 6 || sum.Connections > 7 || sum.Streams != 4 || sum.Deliveries != 4 || sum.Busy <= 0 || sum.Busy > time.Minute {
		t.Errorf("the loops together: %+v, want 6 or 7 connections, 4 streams, 4 deliveries", sum)
	}
	refused.Close()
	testenv.Eventually(t, "nothing lingers", func() bool { return s.Stats().Lingering == 0 })
}
