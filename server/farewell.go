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
func (l *loop) dismiss(c *conn, f farewell) result {
	if c.state == stateWaiting {
		return l.sayFarewell(c, f)
	}
	for !c.flags.is(behind) {
		l.chans = l.channelsOf(c, l.chans[:0])
		l.missed, _ = l.inbox.CatchUp(l.missed[:0], c.cursor, channels.Told{}, turnBytes, l.chans...)
		if len(l.missed) == 0 {
			return l.sayFarewell(c, f)
		}
		l.out = appendWires(l.out[:0], l.missed)
		did := l.send(c, 0, l.missed, l.out)
		clear(l.missed)
		if did == ended {
			return ended
		}
	}
	if l.isLeaving(c) {
		return cut
	}
	if f.why != reasonDrained {
		f.by = l.now + lingerTimeout
	}
	l.readers.m[c.id()].farewell = f
	l.scheduleStream(c)
	return cut
}

// isLeaving tells whether a stream is to be ended once it is not behind any more.
func (l *loop) isLeaving(c *conn) bool {
	return c.flags.is(behind) && l.readers.m[c.id()].farewell.why != admitted
}

// hasLeft ends a stream that was to be ended and has been behind for too long since. It
// returns false if there is none.
func (l *loop) hasLeft(c *conn) bool {
	f := l.readers.m[c.id()].farewell
	if f.by == 0 || l.now < f.by {
		return false
	}
	l.end(c, f.why)
	return true
}

// sayFarewell tells a stream when to come back, and ends it.
func (l *loop) sayFarewell(c *conn, f farewell) result {
	b := l.out[:0]
	if w := l.waiting.m[c.id()]; w != nil && !w.greeted {
		b = l.server.heads.opening(b, w.origin)
	}
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, f.retry.Milliseconds(), 10)
	b = append(b, "\n\n"...)
	l.out = b
	return l.finish(c, b, f.why)
}
