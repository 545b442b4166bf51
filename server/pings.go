package server

import "time"

// beats returns the number of phases that the pings of a period are spread
// over: many enough to be even, and yet few, since waking up for a ping costs
// more than the ping does.
func beats(period time.Duration) int64 {
	const longest = 250 * time.Millisecond
	return max(100, int64(period/longest))
}

// nthBeat returns the n-th time after now at which a ping may be due.
func nthBeat(n int64, period, now time.Duration) time.Duration {
	beat := period / time.Duration(beats(period))
	return (now/beat + time.Duration(n)) * beat
}

// firstPing gives a stream that begins a phase of its own, at which its pings
// are due from then on. A stream keeps its phase for life: were pings counted
// from the last event, one broadcast would line up the pings of all its receivers.
func (l *loop) firstPing(c *conn) {
	if period := l.cfg.Keepalive; period > 0 {
		c.due = momentOf(nthBeat(1+l.phases.Int64N(beats(period)), period, l.now))
		c.flags.set(halfway, false)
	}
}

// nextPing returns when a stream's ping is due, which may be past.
func (l *loop) nextPing(c *conn) time.Duration { return c.due.within(l.cfg.Keepalive, l.now) }

// hush returns the silence from which on a ping that is due is needed.
func hush(period time.Duration) time.Duration { return max(period/2/tick*tick, tick) }

// isSilent tells whether a stream needs the ping that is due.
func (l *loop) isSilent(s *stream) bool { return s.wrote.age(l.now) >= hush(l.cfg.Keepalive) }

// passPing sets a stream's next ping to the first time after now at which one is due. That
// is at its phase; or half a period after a phase that passed without a write though one
// came in the half before it. So no silence is longer than a period, and events that come
// twice a period stand in for all pings. With a period of 60 s: an event 10 s before the
// phase has the ping come 30 s after the phase, and the next at the phase, 30 s later.
func (l *loop) passPing(c *conn) {
	period, due := l.cfg.Keepalive, l.nextPing(c)
	if period == 0 || due > l.now {
		return
	}
	due += (l.now - due) / period * period
	for due <= l.now {
		switch spoken := c.wrote.age(l.now) <= l.now-due; {
		case c.flags.is(halfway):
			due += max(period-hush(period), tick)
			c.flags.set(halfway, false)
		case spoken:
			due += period
		default:
			due += hush(period)
			c.flags.set(halfway, true)
		}
	}
	c.due = momentOf(due)
}

var pingBytes = []byte(":keepalive\n\n")

// pingWhenDue pings a stream whose ping is due. Streams that share a connection are pinged
// together, by h2Due.
func (l *loop) pingWhenDue(s *stream) result {
	c := l.connOf(s)
	switch {
	case s.isShared() || l.cfg.Keepalive == 0 || l.now < l.nextPing(c):
	case l.isSilent(s):
		return l.ping(s)
	default:
		l.passPing(c)
	}
	return sent
}

// ping writes a ping to a stream: a comment, or, to a gzip stream that has had text not long
// ago, an empty block, which is no text and so leaves the time of the last text as it was.
func (l *loop) ping(s *stream) result {
	l.counters.keepalives.Add(1)
	wrote, p := s.wrote, parcel{wire: emptyBlock}
	isText := !s.flags.is(gzipped) || s.wrote.age(l.now)+l.cfg.Keepalive > textPing
	if isText {
		l.out = l.ownText(s, append(l.out[:0], pingBytes...), 0)
		p.wire = l.out
	}
	did := l.send(s, len(p.wire), p)
	if did == ended {
		return ended
	}
	if !s.isShared() {
		l.passPing(l.connOf(s)) // which has to see the write
	}
	if !isText {
		s.wrote = wrote
	}
	return did
}
