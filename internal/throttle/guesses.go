package throttle

import (
	"cmp"
	"sync/atomic"
	"time"
)

const (
	// DefaultDelay is how long the answer to a wrong secret waits.
	DefaultDelay = time.Second
	// MaxWaiting is how many such answers wait at a time.
	MaxWaiting = 64
)

// Guesses are the wrong secrets that a port is given. The zero value is ready. Safe
// for concurrent use.
type Guesses struct {
	Delay time.Duration // of an answer; 0: DefaultDelay; not to be changed any more

	waiting, wrong atomic.Int64
}

// Wrong counts a wrong secret, and returns true after the delay, when it may be answered.
// It returns false, at once, when MaxWaiting others wait, and when done is closed:
// then the client gets no answer, and its connection is to be closed. A right secret
// must not wait for any of this.
func (g *Guesses) Wrong(done <-chan struct{}) (answer bool) {
	g.wrong.Add(1)
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > MaxWaiting {
		return false
	}
	timer := time.NewTimer(cmp.Or(g.Delay, DefaultDelay))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

// Count returns how many wrong secrets there were.
func (g *Guesses) Count() int64 { return g.wrong.Load() }

// Continue counts those that another process was given.
func (g *Guesses) Continue(wrong int64) { g.wrong.Add(wrong) }
