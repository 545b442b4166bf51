package server

import (
	"log/slog"
	"slices"
	"time"

	"millrace/channels"
)

// slowReader is the state of a stream while it is behind: not the messages that
// it misses, which the broker keeps for all, but the rest of the one that its
// socket took only in part. With TLS the rest of a record comes before that: see sealedRest.
type slowReader struct {
	rest     leftover
	messages int           // of which rest has the last byte; none of a ping, or of a response head
	fell     time.Duration // when it fell behind
	told     channels.Told // losses by which it is not lapped, and that it is not told again
	pace     pace
	stalled  bool // it is held and would get a gap next: see loop.stalled
	// farewell is for a stream that is to be ended once it has caught up.
	farewell farewell
}

// fallBehind marks a stream whose socket is full. rest is what has to be sent
// before anything else. Fan-out and pings pass the stream over from now on;
// catchUp is called when the socket has room again.
func (l *loop) fallBehind(s *stream, rest leftover, message bool) {
	r := l.readers.m[s.id()]
	if r == nil {
		r = &slowReader{fell: l.now, pace: newPace(l.now)}
		l.readers.set(s.id(), r)
		s.flags.set(behind, true)
		if s.state != stateHTTP2 {
			s.flags.set(fast, true) // it had everything until now
			l.counters.behind.Add(1)
		}
		if !s.isShared() { // else its windows, or its connection's socket, are looked at
			l.watchRoom(l.connOf(s))
		}
		l.scheduleStream(s)
	}
	r.rest, r.messages = rest, 0
	if message && rest.left() > 0 {
		r.messages = 1
	}
	r.pace.owed = false
}

// catchUp brings a stream that is behind one step on: it writes the rest of the cut message,
// then messages of the broker's backlog, until nothing is left or the socket is full. The
// result is cut while the stream is behind.
func (l *loop) catchUp(s *stream) result {
	r := l.readers.m[s.id()]
	r.pace.owed = false
	if s.flags.is(fast) {
		l.needLess(s)
	} else if l.now-r.pace.window >= fastWindow {
		r.pace.window, r.pace.taken = l.now, 0
	}
	did := l.catchUpOn(s, r)
	if did == cut && !s.flags.is(fast) {
		l.becomeFast(s)
	}
	return did
}

// catchUpOn is catchUp, but for the reader's pace.
func (l *loop) catchUpOn(s *stream, r *slowReader) result {
	if did := l.sendRest(s, r); did != sent {
		return did
	}
	most := turnBytes
	if s.isShared() {
		if !l.takesMore(s) {
			return cut
		}
		most = min(most, l.h2Of(l.connOf(s)).Window(&l.sharedOf(s).Stream))
	}
	l.chans = l.channelsOf(s, l.chans[:0])
	var kept bool
	l.missed, kept = l.inbox.CatchUp(l.missed[:0], s.cursor, r.told, most, l.chans...)
	switch {
	case !kept:
		l.endStream(s, reasonLapped)
		return ended
	case l.holds(s) && !l.cutGaps(s, r):
		return cut
	case len(l.missed) == 0:
		return l.finishCatchUp(s)
	}
	did := l.sendPacked(s, l.missed)
	clear(l.missed)
	if did == sent {
		r.pace.owed, did = true, cut // the socket will say that it takes more
	}
	return did
}

// finishCatchUp takes fallBehind back, for a stream that has everything.
func (l *loop) finishCatchUp(s *stream) result {
	r := l.readers.m[s.id()]
	s.cursor = max(s.cursor, r.told.Gaps)
	l.dropReader(s)
	if !s.isShared() {
		l.stopWatching(l.connOf(s))
		l.passPing(l.connOf(s))
	}
	l.scheduleStream(s)
	if r.farewell.why != admitted {
		return l.dismiss(s, r.farewell)
	}
	return sent
}

// dropReader forgets that a stream, or a connection of HTTP/2, is behind.
func (l *loop) dropReader(s *stream) {
	l.readers.remove(s.id())
	s.flags.set(behind|fast, false)
	if s.state != stateHTTP2 {
		l.counters.behind.Add(-1)
	}
}

// watchRoom has the loop be told that a socket takes more.
func (l *loop) watchRoom(c *conn) {
	if err := l.watchWrites(c); err != nil {
		l.server.log(slog.LevelError, "cannot wait for a socket to take more", "error", err) // the slow timeout ends it
	}
}

// stopWatching has the loop be told no more that a socket takes more.
func (l *loop) stopWatching(c *conn) {
	if err := l.unwatchWrites(c); err != nil {
		l.server.log(slog.LevelError, "cannot stop waiting for a socket to take more", "error", err)
	}
}

// floorOf returns the floor of a channel for a stream that is behind.
func (l *loop) floorOf(s *stream, channel *channels.Channel) uint64 {
	told := &l.readers.m[s.id()].told
	if len(told.Floors) == 0 {
		return 0
	}
	l.chans = l.channelsOf(s, l.chans[:0])
	return told.Floor(slices.Index(l.chans, channel))
}
