package server

import (
	"slices"
	"time"

	"millrace/channels"
)

// headPatience is how long the response head of a stream is held back until its
// channels are followed on the other nodes. A client may take the head to mean
// that it misses nothing from then on: one that gets it earlier is told of a gap.
const headPatience = time.Second

// waiter is what a stream needs that cannot begin, since what is published on
// other nodes is not yet delivered here.
type waiter struct {
	lastID, origin []byte
	greeted        bool // the response head is sent
}

// wait has a stream wait until begin is due. It is in its channels' lists, where
// fan-out passes it over.
func (l *loop) wait(c *conn, origin, lastID []byte) {
	c.state = stateWaiting
	l.waiting.set(c.id(), &waiter{lastID: slices.Clone(lastID), origin: slices.Clone(origin)})
	l.schedule(c, l.now+headPatience)
}

// beginReady looks at no more than budget subscribers of channels that have become
// ready, and begins those who wait. It returns true when there is more to do.
func (l *loop) beginReady(budget int) (more bool) {
	a := &l.readiness
	for {
		for ; a.next < len(a.ready); a.next, a.left = a.next+1, everybody {
			i, ok := l.byChannel.m[a.ready[a.next]]
			for ok && len(l.waiting.m) > 0 {
				subscribers := l.locals[i].subscribers
				if a.left = min(a.left, len(subscribers)); a.left == 0 {
					break
				}
				if budget == 0 {
					return true
				}
				budget--
				a.left-- // from the end down, as fan-out does
				if c := l.table.at(subscribers[a.left]); c.state == stateWaiting {
					l.stopWaiting(c)
				}
				i, ok = l.byChannel.m[a.ready[a.next]] // it may have been the last, and have failed
			}
		}
		if a.ready, a.next = l.inbox.TakeReady(a.ready), 0; len(a.ready) == 0 {
			return false
		}
	}
}

// readiness is the channels under way that have become ready.
type readiness struct {
	ready []*channels.Channel
	next  int // ready[:next] are done
	left  int // how many subscribers of the next are to be looked at
}

// everybody is more than a channel has subscribers.
const everybody = 1<<63 - 1

// stopWaiting begins a stream if all of its channels are ready.
func (l *loop) stopWaiting(c *conn) {
	w := l.waiting.m[c.id()]
	l.start.Channels = l.channelsOf(c, l.start.Channels[:0])
	if !l.broker.Begin(&l.start, w.lastID, turnBytes) {
		return
	}
	l.waiting.remove(c.id())
	c.state = stateStream
	l.scratch = l.scratch[:0]
	if !w.greeted {
		l.scratch = l.server.heads.opening(l.scratch, w.origin)
	} else if len(w.lastID) == 0 {
		l.start.Gap = channels.GapBackplane
	}
	l.begin(c)
}

// waitingDue sends the response head when that has been held back for long
// enough, and pings afterwards.
func (l *loop) waitingDue(c *conn) {
	w := l.waiting.m[c.id()]
	if l.hasLived(c) {
		l.end(c, reasonLifetime)
		return
	}
	var text []byte
	switch {
	case !w.greeted:
		w.greeted = true
		l.scratch = l.server.heads.opening(l.scratch[:0], w.origin)
		if !l.broker.HasIDs() { // else the event that begins the stream is to follow
			l.scratch = append(l.scratch, '\n')
		}
		text = l.scratch
	case l.cfg.Keepalive > 0 && l.now >= l.nextPing(c) && l.isSilent(c):
		l.counters.keepalives.Add(1)
		text = pingBytes
	}
	if len(text) > 0 {
		switch _, did := l.write(c, text); did {
		case ended:
			return
		case cut: // so little, and nobody reads it
			l.end(c, reasonSlow)
			return
		}
	}
	l.passPing(c)
	l.scheduleStream(c)
}
