package server

import (
	"context"
	"time"
)

// Until its predecessor cannot take back any more, a successor writes to a stream that it has
// taken over what that stream's socket did not take and then messages, as the predecessor
// has encoded them, and nothing else: then the number of bytes that the kernel has counted tells
// exactly what the stream has had. TLS and HTTP/2 are never taken back, and so are not held.

// heldPause is how long something waits that is due on a stream which is held, and then again.
const heldPause = 250 * time.Millisecond

// holds tells whether a stream is to get messages only.
func (l *loop) holds(s *stream) bool { return l.holding && s.flags.is(held) }

// heldDue is due for a stream that is held. One that is to be ended because it does not read
// is told nothing anyway.
func (l *loop) heldDue(s *stream) {
	if s.flags.is(behind) && (l.hasLeft(s) || l.judge(s) != cut) {
		return
	}
	l.schedule(l.connOf(s), l.now+heldPause)
}

// letAll ends the time in which streams are held.
func (l *loop) letAll() {
	l.holding = false
	l.startWaiting()
	l.wakeAgain()
}

// startWaiting starts all streams that need not wait any more.
func (l *loop) startWaiting() {
	var waiting []streamID // of which some may have been followed meanwhile
	for id := range l.waiting.m {
		waiting = append(waiting, id)
	}
	for _, id := range waiting {
		if s := l.at(id); s.state == stateWaiting {
			l.startIfFollowed(s)
		}
	}
}

// order is one to end streams, see EndStreams.
type order struct{ channel, user string }

// postpone keeps an order until Switched. It returns false if nothing is held.
func (t *takingOver) postpone(o order) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holds {
		t.orders = append(t.orders, o)
	}
	return t.holds
}

// release has orders carried out again, and returns those that were postponed.
func (t *takingOver) release() []order {
	t.mu.Lock()
	defer t.mu.Unlock()
	orders := t.orders
	t.holds, t.orders = false, nil
	return orders
}

// carryOut carries out orders that were postponed.
func (s *Server) carryOut(orders []order) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, o := range orders {
		if _, err := s.EndStreams(ctx, o.channel, o.user); err != nil {
			s.cfg.Logger.Error("not all streams are ended that were to be ended during an upgrade", "channel", o.channel, "user", o.user, "error", err)
		}
	}
}
