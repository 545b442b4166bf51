package server

import (
	"log/slog"
	"slices"
	"time"

	"millrace/channels"
)

// slowReader is what a stream needs while it is behind: not the messages that
// it misses, which the broker keeps for all, but the rest of the one that its
// socket took only in part.
type slowReader struct {
	rest    []byte
	message bool          // rest is of a message, not of a ping or a response head
	since   time.Duration // when it fell behind
	told    channels.Told // what it is not lapped by, and is not told again
	pace    pace
}

// fallBehind marks a stream whose socket is full. rest is what has to be sent
// before anything else. Fan-out and pings pass the stream over from now on;
// catchUp is called when the socket has room again.
func (l *loop) fallBehind(fd int32, c *conn, rest []byte, message bool) {
	r := l.readers.m[fd]
	if r == nil {
		r = &slowReader{since: l.now, pace: newPace(l.now)}
		l.readers.set(fd, r)
		c.behind, c.fast = true, true // it had everything until now
		l.counters.behind.Add(1)
		if err := l.poller.watchWrites(fd); err != nil {
			l.server.log(slog.LevelError, "cannot wait for a socket to take more", "error", err) // the slow timeout ends it
		}
		l.scheduleStream(fd, c)
	}
	r.rest, r.message = rest, message
	r.pace.owed = false
}

// catchUp brings a stream that is behind one step on: the rest of what was cut,
// then what the broker kept since, until nothing is left or the socket is full.
func (l *loop) catchUp(fd int32, c *conn) {
	r := l.readers.m[fd]
	r.pace.owed = false
	if c.fast {
		l.needLess(fd, c)
	} else if l.now-r.pace.window >= fastWindow {
		r.pace.window, r.pace.taken = l.now, 0
	}
	l.catchUpOn(fd, c, r)
	if l.table.owned(fd, l.number) && c.behind && !c.fast {
		l.becomeFast(fd, c)
	}
}

// catchUpOn is catchUp, but for the reader's pace.
func (l *loop) catchUpOn(fd int32, c *conn, r *slowReader) {
	if len(r.rest) > 0 {
		n, alive := l.write(fd, c, r.rest)
		if !alive {
			return
		}
		if r.rest = r.rest[n:]; len(r.rest) > 0 {
			return
		}
		if r.message {
			l.counters.deliveries.Add(1)
		}
	}
	l.chans = l.channelsOf(fd, c, l.chans[:0])
	var kept bool
	l.missed, kept = l.broker.Since(l.missed[:0], c.cursor, r.told, turnBytes, l.chans...)
	switch {
	case !kept:
		l.end(fd, c, reasonLapped)
	case len(l.missed) == 0:
		l.keepUp(fd, c)
	default:
		l.scratch = appendWires(l.scratch[:0], l.missed)
		if l.send(fd, c, 0, l.missed, l.scratch) {
			r.pace.owed = true // the socket will say that it takes more
		}
		clear(l.missed)
	}
}

// keepUp takes fallBehind back, for a stream that has everything.
func (l *loop) keepUp(fd int32, c *conn) {
	c.cursor = max(c.cursor, l.readers.m[fd].told.Gaps)
	l.readers.remove(fd)
	c.behind, c.fast = false, false
	l.counters.behind.Add(-1)
	if err := l.poller.unwatchWrites(fd); err != nil {
		l.server.log(slog.LevelError, "cannot stop waiting for a socket to take more", "error", err)
	}
	l.passPing(c)
	l.scheduleStream(fd, c)
	if l.drain.hasVisited(fd) {
		l.dismiss(fd, c)
	}
}

// floorOf returns what of a channel a stream that is behind is not lapped by.
func (l *loop) floorOf(fd int32, c *conn, channel *channels.Channel) uint64 {
	told := &l.readers.m[fd].told
	if len(told.Floors) == 0 {
		return 0
	}
	l.chans = l.channelsOf(fd, c, l.chans[:0])
	return told.Floor(slices.Index(l.chans, channel))
}
