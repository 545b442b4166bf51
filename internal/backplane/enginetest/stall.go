package enginetest

import (
	"testing"
	"time"
)

// maxRefusal is how long a publisher may wait to be told that the engine takes
// nothing.
const maxRefusal = 10 * time.Second

// stall has the engine say nothing any more, while its connections stay open:
// publishers are told in time, streams get their pings, and afterwards everything
// is as ever.
func (s *Suite) stall(t *testing.T, program string) {
	s.Engine.Start(t)
	defer s.Engine.Stop(t)
	f := s.start(t, program, 90)
	f.pause(300 * time.Millisecond)
	f.proxy.stall(true)
	f.stopPublishing()
	begun := time.Now()
	if n, err := f.publishers[0].publish(t.Context(), 0); err == nil {
		t.Errorf("publishing while the engine does not answer: %d receivers, want an error", n)
	} else if took := time.Since(begun); took > maxRefusal {
		t.Errorf("publishing while the engine does not answer: refused after %v, want at most %v", took, maxRefusal)
	}
	pings := make([]int, len(f.streams))
	for i, s := range f.streams {
		pings[i] = s.pinged()
	}
	for i, s := range f.streams {
		within(t, "pings while the engine does not answer", func() {
			for s.pinged() < pings[i]+2 {
				f.pause(10 * time.Millisecond)
			}
		})
	}
	f.proxy.stall(false)
	f.finish(s.Complete || s.Lossless)
}
