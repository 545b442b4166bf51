package throttle

import (
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// Delay is how long the answer to a wrong secret waits.
	Delay = time.Second
	// MaxWaiting is how many such answers wait at a time.
	MaxWaiting = 64
)

// Guesses are the wrong secrets that a port is given. The zero value is ready. Safe
// for concurrent use.
type Guesses struct {
	waiting, wrong atomic.Int64
	line           Line
}

// Wrong counts a wrong secret, logs that as a Line, and returns true after Delay,
// when it may be answered. It returns false, at once, when MaxWaiting others wait,
// and when done is closed: then whoever guessed gets no answer, and the connection
// is to be closed. A right secret must not wait for any of this.
func (g *Guesses) Wrong(done <-chan struct{}, log *slog.Logger, msg string, args ...any) (answer bool) {
	g.wrong.Add(1)
	g.line.Log(log, slog.LevelWarn, msg, args...)
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > MaxWaiting {
		return false
	}
	timer := time.NewTimer(Delay)
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
