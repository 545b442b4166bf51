package server

import (
	"math/rand/v2"
	"strconv"
	"time"

	"millrace/channels"
)

// farewell is why and how a stream is ended that is told when to come back. The zero value
// is that of a stream that stays.
type farewell struct {
	why   reason
	retry time.Duration // the delay that its client is told
	by    time.Duration // when it is ended, were it still behind then; 0: never for that
}

// farewellExpired is that of a stream whose grant has ended. The ends are spread already.
func farewellExpired() farewell {
	return farewell{why: reasonExpired, retry: time.Second + rand.N(4*time.Second)}
}

// dismiss brings a stream to the head, tells it when to come back, and ends it.
// One whose socket is full gets there in its own time: see finishCatchUp. But for a drain
// that is lingerTimeout at most.
func (l *loop) dismiss(s *stream, f farewell) result {
	switch {
	case l.holds(s): // which may be told nothing
		l.endStream(s, f.why)
		return ended
	case s.state == stateWaiting:
		return l.sayFarewell(s, f)
	}
	for !s.flags.is(behind) {
		l.chans = l.channelsOf(s, l.chans[:0])
		l.missed, _ = l.inbox.CatchUp(l.missed[:0], s.cursor, channels.Told{}, turnBytes, l.chans...)
		if len(l.missed) == 0 {
			return l.sayFarewell(s, f)
		}
		did := l.sendPacked(s, l.missed)
		clear(l.missed)
		if did == ended {
			return ended
		}
	}
	if l.isLeaving(s) {
		return cut
	}
	if f.why != reasonDrained {
		f.by = l.now + lingerTimeout
	}
	l.readers.m[s.id()].farewell = f
	l.scheduleStream(s)
	return cut
}

// isLeaving tells whether a stream is to be ended once it is not behind any more.
func (l *loop) isLeaving(s *stream) bool {
	return s.flags.is(behind) && l.readers.m[s.id()].farewell.why != admitted
}

// hasLeft ends a stream that was to be ended and has been behind for too long since. It
// returns false if there is none.
func (l *loop) hasLeft(s *stream) bool {
	f := l.readers.m[s.id()].farewell
	if f.by == 0 || l.now < f.by {
		return false
	}
	l.endStream(s, f.why)
	return true
}

// sayFarewell tells a stream when to come back, and ends it.
func (l *loop) sayFarewell(s *stream, f farewell) result {
	b, from := l.out[:0], 0
	if w := l.waiting.m[s.id()]; w != nil && !w.greeted {
		b, from = l.openBody(s, l.putHead(s, l.server.heads.streamHead(b, w.origin, w.coding)))
	}
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, f.retry.Milliseconds(), 10)
	b = append(b, "\n\n"...)
	l.out = l.ownText(s, b, from)
	return l.finish(s, l.out, f.why)
}
