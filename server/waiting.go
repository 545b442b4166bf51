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

// waiter is the state of a stream that cannot start, since the messages of other nodes
// are not yet delivered here.
type waiter struct {
	lastID, origin []byte
	renewal        string
	coding         coding
	due            time.Duration // when the response head is sent at the latest
	greeted        bool          // it is sent
}

// wait has a stream wait until its channels are followed. It is in its channels' lists, where
// fan-out passes it over.
func (l *loop) wait(s *stream, o opening) {
	s.state = stateWaiting
	l.waiting.set(s.id(), &waiter{lastID: slices.Clone(o.lastID), origin: slices.Clone(o.origin), renewal: o.renewal, coding: o.coding, due: l.now + headPatience})
	l.scheduleStream(s)
}

// followed is the channels under way that are followed from now on.
type followed struct {
	channels []*channels.Channel
	next     int // channels[:next] are done
	left     int // how many subscribers of the next are to be looked at
}

// everybody is more than a channel has subscribers.
const everybody = 1<<63 - 1

// startFollowed looks at no more than budget subscribers of channels that are followed
// from now on, and starts those that wait. It returns true when there is more to do.
func (l *loop) startFollowed(budget int) (more bool) {
	f := &l.followed
	for {
		for ; f.next < len(f.channels); f.next, f.left = f.next+1, everybody {
			i, ok := l.byChannel.m[f.channels[f.next]]
			for ok && len(l.waiting.m) > 0 {
				subscribers := l.channels[i].subscribers
				if f.left = min(f.left, len(subscribers)); f.left == 0 {
					break
				}
				if budget == 0 {
					return true
				}
				budget--
				f.left-- // from the end down, as fan-out does
				if s := l.at(subscribers[f.left]); s.state == stateWaiting {
					l.startIfFollowed(s)
				}
				i, ok = l.byChannel.m[f.channels[f.next]] // it may have been the last, and have failed
			}
		}
		if f.channels, f.next = l.inbox.TakeFollowed(f.channels), 0; len(f.channels) == 0 {
			return false
		}
	}
}

// startIfFollowed starts a stream that waits if all of its channels are followed.
func (l *loop) startIfFollowed(s *stream) {
	if l.holds(s) {
		return
	}
	w := l.waiting.m[s.id()]
	l.start.Channels = l.channelsOf(s, l.start.Channels[:0])
	if !l.inbox.Begin(&l.start, w.lastID, turnBytes) {
		return
	}
	l.waiting.remove(s.id())
	s.state = stateStream
	from := 0
	if l.out = l.out[:0]; !w.greeted {
		l.out, from = l.openBody(s, l.putHead(s, l.server.heads.streamHead(l.out, w.origin, w.coding)))
	} else if len(w.lastID) == 0 {
		l.start.Gap = channels.GapBackplane
	}
	l.sendStart(s, from, w.renewal)
}

// waitingDue sends the response head when that has been held back for long
// enough, and pings afterwards.
func (l *loop) waitingDue(s *stream) {
	if l.holds(s) {
		l.heldDue(s)
		return
	}
	w := l.waiting.m[s.id()]
	if l.hasLived(s) {
		l.endStream(s, reasonLifetime)
		return
	}
	if l.hasExpired(s) {
		l.sayFarewell(s, farewellExpired())
		return
	}
	did := sent
	switch {
	case w.greeted:
		did = l.pingWhenDue(s)
	case l.now >= w.due:
		w.greeted = true
		text, from := l.openBody(s, l.putHead(s, l.server.heads.streamHead(l.out[:0], w.origin, w.coding)))
		if !l.inbox.HasIDs() { // else the event that starts the stream is to follow
			text = append(text, '\n')
		}
		l.out = l.ownText(s, text, from)
		did = l.send(s, len(l.out), parcel{wire: l.out})
	}
	switch did {
	case cut: // so little, and the client does not read it
		l.endStream(s, reasonSlow)
	case sent:
		if !s.isShared() {
			l.passPing(l.connOf(s))
		}
		l.scheduleStream(s)
	}
}
