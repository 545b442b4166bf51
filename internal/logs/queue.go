// Package logs carries a process's log to its reader. Code that logs never waits for
// the reader, which may be a pipe whose other end has stopped reading.
//
// A [Queue] takes lines and writes them on a goroutine of its own. A line for which it has
// no room is dropped and counted. Lines that outsiders can cause as often as they like are
// the business of package throttle.
package logs

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting bounds the lines that wait to be written, in bytes. As much may be in
// the middle of being written.
const maxWaiting = 1 << 20

// Queue takes everything that a process logs. Its methods are safe for concurrent use.
type Queue struct {
	w      io.Writer
	logger *slog.Logger
	direct *slog.Logger // past the queue, for its own goroutine

	mu      sync.Mutex
	waiting []byte // lines, at most maxWaiting bytes
	untold  int64  // lines dropped since the log has told of that
	closed  bool

	dropped atomic.Int64
	wake    chan struct{} // holds a token when something waits; closed by Close
	done    chan struct{} // closed when all that waited has been written
}

// Open returns a queue whose lines, in the form of the handler that form returns, are
// written to w by one goroutine.
func Open(w io.Writer, form func(io.Writer) slog.Handler) *Queue {
	q := &Queue{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	q.logger, q.direct = slog.New(form(lines{q})), slog.New(form(w))
	go q.run()
	return q
}

// Logger returns the logger of the queue. It never waits.
func (q *Queue) Logger() *slog.Logger { return q.logger }

// Dropped returns how many lines have been dropped: there was no room for them, or
// they could not be written.
func (q *Queue) Dropped() int64 { return q.dropped.Load() }

// Close has the waiting lines written, and waits for that, but not longer than patience.
// Lines that are logged from then on are dropped.
func (q *Queue) Close(patience time.Duration) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.wake)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(patience):
	}
}

// lines is where a handler writes to, a line at a time.
type lines struct{ q *Queue }

func (l lines) Write(line []byte) (int, error) {
	l.q.add(line)
	return len(line), nil
}

func (q *Queue) add(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting)+len(line) > maxWaiting {
		q.drop(1)
		return
	}
	q.waiting = append(q.waiting, line...)
	select {
	case q.wake <- struct{}{}:
	default: // there is a token
	}
}

// drop counts lines. q.mu is held.
func (q *Queue) drop(lines int64) {
	q.untold += lines
	q.dropped.Add(lines)
}

// run writes the waiting lines, until Close.
func (q *Queue) run() {
	defer close(q.done)
	var batch []byte
	for range q.wake {
		for batch = q.take(batch); len(batch) > 0; batch = q.take(batch) {
			q.write(batch)
		}
	}
}

// take returns the waiting lines, and leaves the buffer of the lines before in their place.
func (q *Queue) take(written []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting = written[:0]
	if len(batch) == 0 { // nothing is left: a burst's memory goes with it
		q.waiting = nil
	}
	return batch
}

// write writes a batch. If that fails, the rest of the batch is dropped: the next one
// tries again.
func (q *Queue) write(batch []byte) {
	n, err := q.w.Write(batch)
	q.mu.Lock()
	if err != nil {
		q.drop(int64(bytes.Count(batch[n:], []byte{'\n'})))
		q.mu.Unlock()
		return
	}
	dropped := q.untold
	q.untold = 0
	q.mu.Unlock()
	if dropped > 0 {
		q.direct.Warn("the log could not keep up: lines were dropped", "lines", dropped)
	}
}
