package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"millrace/channels"
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

// letAll ends the time in which streams are held. If the loop does not serve yet, it will see by
// itself that nothing is held any more.
func (l *loop) letAll() {
	if l.adopting != nil {
		return
	}
	l.holding = false
	l.startWaiting()
	l.goOnStalled()
	l.wakeAgain()
}

// cutGaps takes what comes after a gap out of l.missed, which is for a held stream that is behind.
// It returns false if nothing is left: then the stream is to wait.
func (l *loop) cutGaps(s *stream, r *slowReader) bool {
	gap := l.inbox.GapAfter(max(s.cursor, r.told.Gaps), l.chans...)
	if gap == 0 {
		return true
	}
	i, _ := slices.BinarySearchFunc(l.missed, gap, func(m *channels.Message, gap uint64) int { return cmp.Compare(m.Seq, gap) })
	clear(l.missed[i:])
	if l.missed = l.missed[:i]; i > 0 {
		return true
	}
	r.pace.excuse(l.now)
	if !r.stalled {
		r.stalled = true
		l.stopWatching(l.connOf(s)) // its socket would tell all the time that it takes more
		l.stalled = append(l.stalled, s.id())
	}
	return false
}

// goOnStalled has streams go on that waited because of a gap.
func (l *loop) goOnStalled() {
	for _, id := range l.stalled {
		if c := l.table.owned(id, l.number); c != nil && c.flags.is(behind) && l.readers.m[id].stalled {
			l.readers.m[id].stalled = false
			l.catchUp(&c.stream) // and once more, if the socket takes more
			if c := l.table.owned(id, l.number); c != nil && c.flags.is(behind) {
				l.watchRoom(c)
			}
		}
	}
	l.stalled = nil
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

// isHolding tells whether streams are to be held.
func (t *takingOver) isHolding() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
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
