package server

import "time"

// expire does the work for which the one timer of a slot was set.
func (l *loop) expire(i int32) {
	c := l.table.at(streamID(i))
	switch c.state {
	case stateListener:
		l.listenerOf(int32(c.id())).resume()
	case stateProxy, stateHello, stateHead:
		l.headDue(c)
	case stateUndecided:
		l.undecidedDue(&c.stream)
	case stateHandshake:
		l.handshakeDue(c)
	case stateStream:
		l.streamDue(&c.stream)
	case stateWaiting:
		l.waitingDue(&c.stream)
	case stateLinger:
		l.end(c, c.why)
	}
}

// schedule sets the one timer of a connection.
func (l *loop) schedule(c *conn, at time.Duration) { l.wheel.Schedule(int32(c.id()), at) }

// cancel takes schedule back.
func (l *loop) cancel(c *conn) { l.wheel.Cancel(int32(c.id())) }

// headDue ends the wait for a request head. Bytes that are there already count, though
// the loop has not read them: a loop that was held up must not blame its clients.
func (l *loop) headDue(c *conn) {
	awaited := l.readHead(c)
	switch {
	case !awaited:
	case c.state == stateHello, c.state == stateHandshake:
		l.handshakeDue(c)
	case c.state == stateProxy, l.unfinished.m[c.id()] == nil: // nothing came: a spare connection of a browser, say
		l.end(c, reasonHeadLate)
	default:
		l.refuse(&c.stream, l.askerOf(l.unfinished.m[c.id()].b), 408, "the request head took longer than "+l.cfg.HeaderTimeout.String())
	}
}

// streamDue does the work that is due on a stream: its end, or a ping if it is silent.
func (l *loop) streamDue(s *stream) {
	if l.hasLived(s) {
		l.endStream(s, reasonLifetime)
		return
	}
	if l.hasExpired(s) && !l.isLeaving(s) {
		l.dismiss(s, farewellExpired())
		return
	}
	if s.flags.is(behind) {
		if l.hasLeft(s) || l.judge(s) != cut {
			return
		}
	} else if l.pingWhenDue(s) == ended {
		return
	}
	l.scheduleStream(s)
}

// scheduleStream sets the stream's timer to the earliest time at which something becomes
// due.
func (l *loop) scheduleStream(s *stream) {
	at := time.Duration(-1)
	sooner := func(t time.Duration) {
		if at < 0 || t < at {
			at = t
		}
	}
	if l.cfg.MaxLifetime > 0 {
		sooner(l.now - s.opened.age(l.now) + l.lifetime(s))
	}
	if end := l.grantEnd(s); end >= 0 && !l.isLeaving(s) {
		sooner(end)
	}
	if s.flags.is(behind) {
		if at := l.whenJudged(s); at >= 0 {
			sooner(at)
		}
		if by := l.readers.m[s.id()].farewell.by; by > 0 {
			sooner(by)
		}
	} else if l.cfg.Keepalive > 0 {
		sooner(l.nextPing(l.connOf(s)))
	}
	if at < 0 {
		l.cancel(l.connOf(s))
		return
	}
	l.schedule(l.connOf(s), at)
}

// hasLived tells whether a stream has reached its lifetime.
func (l *loop) hasLived(s *stream) bool {
	return l.cfg.MaxLifetime > 0 && s.opened.age(l.now) >= l.lifetime(s)
}

// lifetime returns the age at which a stream is closed: MaxLifetime less up to a
// tenth, so that streams that came together do not leave together, and come back
// together, every lifetime anew. It is not kept anywhere: the descriptor and the
// time when the stream began draw it.
func (l *loop) lifetime(s *stream) time.Duration {
	const share = 1 << 16 // of a tenth
	drawn := (uint64(s.opened)<<32 | uint64(s.id())) * 0x9e3779b97f4a7c15 >> 48
	return l.cfg.MaxLifetime - l.cfg.MaxLifetime/10/share*time.Duration(drawn)
}
