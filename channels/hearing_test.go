package channels

import (
	"sync"
	"sync/atomic"
	"testing"
)

// visitor is a listener that does something at each event.
type visitor struct{ visit func() }

func (v *visitor) Hear(Glob, string, []byte) { v.visit() }

// Ensure that listeners hear events without holding up the broker, and have heard them
// when the publisher goes on.
func TestHearsWithoutTheLock(t *testing.T) {
	b := NewBroker(Options{})
	heard := 0
	v := &visitor{func() {
		heard++
		if !b.mu.TryLock() {
			t.Error("heard under the broker's lock")
			return
		}
		b.mu.Mutex.Unlock()
	}}
	b.Ports().Observe(v, "/a")
	b.Ports().ObserveGlob(v, "/*")
	for i := range 3 {
		mustPublish(t, b, "/a", "x", 2)
		if heard != 2*(i+1) {
			t.Errorf("heard %d times after %d events, want twice each", heard, i+1)
		}
	}
}

// Ensure that a listener that has left is not called any more, whatever is under way.
func TestNothingHeardAfterUnlisten(t *testing.T) {
	b := NewBroker(Options{})
	var publishing sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		publishing.Go(func() {
			for !stop.Load() {
				b.Publish("/a", Event{Data: []byte("x")})
			}
		})
	}
	for range 500 {
		var gone atomic.Bool
		v := &visitor{func() {
			if gone.Load() {
				t.Error("heard after it has left")
			}
		}}
		b.Ports().Observe(v, "/a")
		b.Ports().ObserveGlob(v, "/*")
		b.Ports().Unobserve(v, "/a")
		b.Ports().UnobserveGlob(v, "/*")
		gone.Store(true)
	}
	stop.Store(true)
	publishing.Wait()
}
