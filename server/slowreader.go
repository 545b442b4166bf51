package server

import (
	"log/slog"
	"slices"
	"time"

	"millrace/channels"
)

// slowReader is the state of a stream while it is behind: not the messages that
// it misses, which the broker keeps for all, but the rest of the one that its
// socket took only in part.
type slowReader struct {
	sealed  []byte // of a TLS record, before rest
	counted bool   // it has an entry in loop.cutOff
	rest    []byte
	message bool          // rest is of a message, not of a ping or a response head
	fell    time.Duration // when it fell behind
	told    channels.Told // losses by which it is not lapped, and that it is not told again
	pace    pace
	// farewell is for a stream that is to be ended once it has caught up.
	farewell farewell
}

// fallBehind marks a stream whose socket is full. rest is what has to be sent
// before anything else. Fan-out and pings pass the stream over from now on;
// catchUp is called when the socket has room again.
func (l *loop) fallBehind(c *conn, rest []byte, message bool) {
	r := l.readers.m[c.id()]
	if r == nil {
		r = &slowReader{fell: l.now, pace: newPace(l.now)}
		l.readers.set(c.id(), r)
		c.flags.set(behind|fast, true) // it had everything until now
		l.counters.behind.Add(1)
		if err := l.watchWrites(c); err != nil {
			l.server.log(slog.LevelError, "cannot wait for a socket to take more", "error", err) // the slow timeout ends it
		}
		l.scheduleStream(c)
	}
	r.rest, r.message = rest, message
	r.pace.owed = false
}

// catchUp brings a stream that is behind one step on: it writes the rest of the cut message,
// then messages of the broker's backlog, until nothing is left or the socket is full. The
// result is cut while the stream is behind.
func (l *loop) catchUp(c *conn) result {
	r := l.readers.m[c.id()]
	r.pace.owed = false
	if c.flags.is(fast) {
		l.needLess(c)
	} else if l.now-r.pace.window >= fastWindow {
		r.pace.window, r.pace.taken = l.now, 0
	}
	did := l.catchUpOn(c, r)
	if did == cut && !c.flags.is(fast) {
		l.becomeFast(c)
	}
	return did
}

// catchUpOn is catchUp, but for the reader's pace.
func (l *loop) catchUpOn(c *conn, r *slowReader) result {
	if did := l.sendRest(c, r); did != sent {
		return did
	}
	l.chans = l.channelsOf(c, l.chans[:0])
	var kept bool
	l.missed, kept = l.inbox.CatchUp(l.missed[:0], c.cursor, r.told, turnBytes, l.chans...)
	switch {
	case !kept:
		l.end(c, reasonLapped)
		return ended
	case len(l.missed) == 0:
		return l.finishCatchUp(c)
	}
	l.out = appendWires(l.out[:0], l.missed)
	did := l.send(c, 0, l.missed, l.out)
	clear(l.missed)
	if did == sent {
		r.pace.owed, did = true, cut // the socket will say that it takes more
	}
	return did
}

// finishCatchUp takes fallBehind back, for a stream that has everything.
func (l *loop) finishCatchUp(c *conn) result {
	r := l.readers.m[c.id()]
	c.cursor = max(c.cursor, r.told.Gaps)
	l.readers.remove(c.id())
	c.flags.set(behind|fast, false)
	l.counters.behind.Add(-1)
	if err := l.unwatchWrites(c); err != nil {
		l.server.log(slog.LevelError, "cannot stop waiting for a socket to take more", "error", err)
	}
	l.passPing(c)
	l.scheduleStream(c)
	if r.farewell.why != admitted {
		return l.dismiss(c, r.farewell)
	}
	return sent
}

// floorOf returns the floor of a channel for a stream that is behind.
func (l *loop) floorOf(c *conn, channel *channels.Channel) uint64 {
	told := &l.readers.m[c.id()].told
	if len(told.Floors) == 0 {
		return 0
	}
	l.chans = l.channelsOf(c, l.chans[:0])
	return told.Floor(slices.Index(l.chans, channel))
}
