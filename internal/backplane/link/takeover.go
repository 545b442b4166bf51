package link

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"millrace/internal/handover"
)

// fenceTime is how long a session of a successor may take to come to the fence after the
// switch. One that does not is ended, and the next one tells all channels of a gap.
const fenceTime = 3 * time.Second

var errFence = errors.New("the mark of the switch does not come back")

// holding is the state of a successor before its session hands on anything: from Hold to the
// fence, which comes after the switch or stands still until then. The session connects and has
// the engine deliver the channels; messages are passed over, since the predecessor hands them
// on. No channel counts as followed by it.
type holding struct {
	on     atomic.Bool
	fence  string                 // at which the predecessor stops
	own    atomic.Pointer[string] // where the predecessor has not stopped at a place that this process can see: set before taken is closed
	left   atomic.Int32           // fences by the name of own that have yet to come
	taken  chan struct{}          // closed by TakeOver
	place  handover.Engine        // that TakeOver was given: set before taken is closed
	exact  bool                   // the session can go on at that place: likewise
	finish func()                 // of the form of the engine, by the session's goroutine; nil for the plain one
}

// Hold makes l the link of a successor. It is called before Start.
func (l *Link) Hold() {
	l.held.fence, l.held.taken = newFence(), make(chan struct{})
	l.held.on.Store(true)
}

// Hear has the successor follow channels that observers hear at the predecessor, since they
// come at the switch and are to miss nothing.
func (l *Link) Hear(names ...string) {
	for _, name := range names {
		l.Set.Follow(name)
	}
}

// Settled returns the name of the fence at which the predecessor is to stop, as soon as the
// engine delivers to this process everything that it has asked for. When ctx is done first,
// channels of which that is not so are told of a gap after the switch.
func (l *Link) Settled(ctx context.Context) (fence string) {
	for l.Health() != nil || !l.Set.Settled() {
		select {
		case <-ctx.Done():
			return l.held.fence
		case <-time.After(2 * time.Millisecond):
		}
	}
	return l.held.fence
}

// TakeOver tells that the broker orders by itself now: what the engine delivers after the fence
// is handed on. e is what HandOver of the predecessor has returned. If that is not exact, or
// the engine has no order that two processes see alike, messages are passed over up to a fence
// of this process, and all channels are told of a gap there.
func (l *Link) TakeOver(e handover.Engine) {
	h := &l.held
	if !h.on.Load() {
		return
	}
	h.place, h.exact = e, e.Exact && l.Ordered
	if !h.exact && !l.Lossless {
		own := newFence()
		h.own.Store(&own)
	}
	close(h.taken)
	l.running.Go(func() {
		if own := h.own.Load(); own != nil && l.fenceOff(*own) != nil {
			l.endSession(errFence)
		}
		select {
		case <-time.After(fenceTime):
			if h.on.Load() {
				l.endSession(errFence)
			}
		case <-l.done:
		}
	})
}

// fenceOff has the engine deliver fences after all that the predecessor can have delivered.
func (l *Link) fenceOff(name string) error {
	select {
	case <-time.After(l.Lag):
	case <-l.done:
		return nil
	}
	data, err := json.Marshal(fence{name})
	if err != nil {
		return err
	}
	ways := []func([]byte) error{l.Feed.Tell}
	if l.Ways != nil {
		ctx, cancel := context.WithTimeout(l.ctx, fenceTime)
		defer cancel()
		if ways, err = l.Ways(ctx); err != nil {
			return err
		}
	}
	l.held.left.Store(int32(len(ways)))
	for _, tell := range ways {
		err = errors.Join(err, tell(data))
	}
	return err
}

// Holds tells whether l is the link of a successor that hands on nothing yet.
func (l *Link) Holds() bool { return l.held.on.Load() }

// Taken is closed by TakeOver, for a session that waits for that without a fence, and Place
// returns what TakeOver was given then: where the session is to go on, if Exact, before it calls
// Resume.
func (l *Link) Taken() <-chan struct{} { return l.held.taken }

// Place is described at Taken.
func (l *Link) Place() handover.Engine { return l.held.place }

// holds tells whether what the session brings is to be passed over, as long as l is that of a
// successor. name is that of the fence that has come, or "": at the one where the predecessor
// stops, the session waits for the switch.
func (l *Link) holds(name string) bool {
	h := &l.held
	if !h.on.Load() {
		return false
	}
	own := h.own.Load()
	switch {
	case name == "":
	case own != nil && name == *own:
		if h.left.Add(-1) == 0 {
			l.Resume(false)
		}
	case name == h.fence:
		select {
		case <-h.taken:
		case <-l.done:
			return true
		}
		if h.exact {
			l.Resume(true)
		}
	}
	return true
}

// Resume has the session of a successor hand on from here on: with exact no channel is told of
// a gap. Called by its goroutine.
func (l *Link) Resume(exact bool) {
	if finish := l.held.finish; finish != nil {
		finish()
		return
	}
	all, ready, refused := l.Set.Survey()
	from := l.Feed.Head()
	since := func(name string) bool { return l.Set.Since(name, from) }
	for _, name := range ready {
		since(name)
	}
	l.held.on.Store(false)
	if exact {
		l.Feed.Continue(from, since, ready...)
	} else {
		l.Feed.Followed(from, since, ready...)
	}
	l.Feed.Refused(refused...)
	l.Feed.Idle(l.Set.Unfollow, all...)
}

// release ends the holding of a link whose session has ended after the switch: the next one is
// like any other after a lost connection.
func (l *Link) release() {
	h := &l.held
	if !h.on.Load() {
		return
	}
	select {
	case <-h.taken:
	default:
		return
	}
	h.on.Store(false)
	all, _, _ := l.Set.Survey()
	l.Feed.Idle(l.Set.Unfollow, all...)
	for _, name := range l.Feed.Waiting(all...) {
		l.Set.Anew(name)
	}
}
