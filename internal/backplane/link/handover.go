package link

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
)

// fence is a message on the control channel by which the two processes of an upgrade agree on
// a place in what the engine delivers: everything before it is the predecessor's to hand on,
// everything after it the successor's. For other nodes it is a message that says nothing.
type fence struct {
	Fence string `json:"fence"`
}

// newFence returns the name of a fence that nobody else draws.
func newFence() string { return rand.Text() }

// tellFence has the engine deliver a fence.
func (l *Link) tellFence(name string) error {
	data, err := json.Marshal(fence{name})
	if err != nil {
		return err
	}
	return l.Feed.Tell(data)
}

// fenceOf returns the name of the fence that a message is, "" for any other message.
func fenceOf(channel string, data []byte) string {
	if channel != channels.ControlChannel {
		return ""
	}
	var f fence
	if json.Unmarshal(data, &f) != nil {
		return ""
	}
	return f.Fence
}

// drainTime is the time in which a predecessor hands on what came before the fence.
const drainTime = 2 * time.Second

// stop is where the session of a predecessor stops: at a fence, or at once when it is overdue.
type stop struct {
	fence   string
	overdue atomic.Bool
	reached chan struct{} // closed by the session's goroutine, which waits then
	goOn    chan struct{} // closed by TakeBack
}

// HandOver has the engine deliver a fence, of the name that the successor has drawn, and hands
// on everything before it and nothing after it, until TakeBack. It takes 2 s at most; Exact is
// false if the fence has not come by then, as from an engine that is away: then the session
// stops where it is.
func (l *Link) HandOver(ctx context.Context, name string) handover.Engine {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	s := &stop{fence: name, reached: make(chan struct{}), goOn: make(chan struct{})}
	l.stop.Store(s)
	exact := l.reach(ctx, s)
	s.overdue.Store(true)
	return handover.Engine{Exact: exact}
}

// reach tells whether everything before the fence was handed on.
func (l *Link) reach(ctx context.Context, s *stop) bool {
	if s.fence == "" || l.Health() != nil {
		return false
	}
	if err := l.tellFence(s.fence); err != nil {
		l.Log.Warn("the place in what "+l.engine+" delivers cannot be marked: the new process tells all channels of a gap", "error", err)
		return false
	}
	select {
	case <-s.reached:
	case <-ctx.Done():
		l.Log.Warn("a mark does not come back from " + l.engine + ": the new process tells all channels of a gap")
		return false
	}
	return l.AwaitEmpty(ctx)
}

// TakeBack has a predecessor go on where HandOver has stopped it.
func (l *Link) TakeBack() {
	if s := l.stop.Swap(nil); s != nil {
		close(s.goOn)
	}
}

// halt is called by the session's goroutine before it hands on anything, with the name of the
// fence that has come, or "". In a predecessor it waits where the session is to stop.
func (l *Link) halt(name string) {
	s := l.stop.Load()
	switch {
	case s == nil:
		return
	case name != "" && name == s.fence:
		select {
		case <-s.reached:
		default:
			close(s.reached)
		}
	case !s.overdue.Load():
		return
	}
	select {
	case <-s.goOn:
	case <-l.done:
	}
}

// AwaitEmpty tells whether, before ctx is done, everything that the session has handed on has its
// place.
func (l *Link) AwaitEmpty(ctx context.Context) bool {
	for {
		l.crowd.mu.Lock()
		empty := len(l.crowd.channels) == 0
		l.crowd.mu.Unlock()
		if empty {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
}
