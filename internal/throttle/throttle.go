// Package throttle bounds what outsiders can make a port do as often as they like:
// [Line] is a line of the log that they cause, [Logger] has a Line for each message,
// and [Guesses] are their tries at a secret.
package throttle

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Interval is the time between two lines of one kind.
const Interval = time.Second

// Line is a kind of line of the log. The zero value is ready. Safe for concurrent use.
type Line struct {
	next   atomic.Int64 // when it may be logged again, by the clock, in nanoseconds
	unsaid atomic.Int64 // how many were left out since it was logged
}

// Log logs the line if the last one is an Interval or more ago, with how many were
// left out between them.
func (l *Line) Log(log *slog.Logger, level slog.Level, msg string, args ...any) {
	unsaid, due := l.take(time.Now())
	if !due {
		return
	}
	if unsaid > 0 {
		args = append(args[:len(args):len(args)], leftOut, unsaid)
	}
	log.Log(context.Background(), level, msg, args...)
}

// leftOut is the attribute that says how many lines were left out.
const leftOut = "left_out"

// take tells whether the line may be logged now, and takes it as done, with how many
// were left out; if not, this one is left out.
func (l *Line) take(t time.Time) (unsaid int64, due bool) {
	now, at := t.UnixNano(), l.next.Load()
	early := at-now > 0 && at-now <= int64(Interval) // above it, the clock has been put back
	if early || !l.next.CompareAndSwap(at, now+int64(Interval)) {
		l.unsaid.Add(1)
		return 0, false
	}
	return l.unsaid.Swap(0), true
}
