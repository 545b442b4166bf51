package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// notes carries what loops have to log to a goroutine that logs it. A loop must
// not wait for whoever reads the log, and with a descriptor table of its own it
// may not even have the log's file.
type notes struct {
	log     *slog.Logger
	queue   chan *slog.Record
	dropped atomic.Int64
	done    sync.WaitGroup
}

// noticeInterval is the time between two lines with one message, of those that
// clients can cause as often as they like.
const noticeInterval = time.Second

// mayNotice tells whether such a line may be logged, and takes it as done.
func (l *loop) mayNotice(msg string) bool {
	if l.now < l.nextNotice[msg] {
		return false
	}
	l.nextNotice[msg] = l.now + noticeInterval
	return true
}

// notesQueued is how many lines may wait; what is above is counted and dropped.
const notesQueued = 4096

func openNotes(log *slog.Logger) *notes {
	n := &notes{log: log, queue: make(chan *slog.Record, notesQueued)}
	n.done.Go(n.run)
	return n
}

// add logs a line, soon. It never waits. Safe for concurrent use until close.
func (n *notes) add(level slog.Level, msg string, args ...any) {
	if !n.log.Enabled(context.Background(), level) {
		return
	}
	r := slog.NewRecord(time.Now(), level, msg, 0)
	r.Add(args...)
	select {
	case n.queue <- &r:
	default:
		n.dropped.Add(1)
	}
}

func (n *notes) run() {
	for r := range n.queue {
		n.log.Handler().Handle(context.Background(), *r)
		if dropped := n.dropped.Swap(0); dropped > 0 {
			n.log.Warn("the log could not keep up", "lines dropped", dropped)
		}
	}
}

// close returns when everything is logged.
func (n *notes) close() {
	close(n.queue)
	n.done.Wait()
}
