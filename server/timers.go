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
	case stateHandshake:
		l.handshakeDue(c)
	case stateHTTP2:
		l.h2Due(c)
	case stateLinger:
		l.end(c, c.why)
	default:
		l.due(&c.stream)
	}
}

// due does the work that is due on a stream, if any is, and sets its timer.
func (l *loop) due(s *stream) {
	switch s.state {
	case stateUndecided:
		l.undecidedDue(s)
	case stateStream:
		l.streamDue(s)
	case stateWaiting:
		l.waitingDue(s)
	}
}

// schedule sets the one timer of a connection.
func (l *loop) schedule(c *conn, at time.Duration) { l.wheel.Schedule(int32(c.id()), at) }

// scheduleBy has the timer of a connection come at a time, or before.
func (l *loop) scheduleBy(c *conn, at time.Duration) {
	if due, ok := l.wheel.Due(int32(c.id())); !ok || at < due {
		l.schedule(c, at)
	}
}

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
	if l.holds(s) {
		l.heldDue(s)
		return
	}
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
// due. Streams that share a connection share its timer.
func (l *loop) scheduleStream(s *stream) {
	c, at := l.connOf(s), l.nextDue(s)
	switch {
	case s.state == stateHTTP2:
		l.scheduleH2(c)
	case s.isShared() && at >= 0:
		l.scheduleBy(c, at)
	case s.isShared():
	case at >= 0:
		l.schedule(c, at)
	default:
		l.cancel(c)
	}
}

// nextDue returns when something becomes due on a stream, -1 for never.
func (l *loop) nextDue(s *stream) time.Duration {
	switch s.state {
	case stateHTTP2:
		return -1
	case stateUndecided:
		return l.undecided.m[s.id()].deadline
	case stateWaiting:
		if w := l.waiting.m[s.id()]; !w.greeted {
			return w.due
		}
	}
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
	return at
}

// hasLived tells whether a stream has reached its lifetime.
func (l *loop) hasLived(s *stream) bool {
	return l.cfg.MaxLifetime > 0 && s.opened.age(l.now) >= l.lifetime(s)
}

// lifetime returns the age at which a stream is closed: MaxLifetime less up to a
// tenth, so that streams that came together do not leave together, and come back
// together, every lifetime anew. It is not kept anywhere: the connection's lot and the time
// when the stream began draw it, which are the same in a successor.
func (l *loop) lifetime(s *stream) time.Duration {
	const share = 1 << 16 // of a tenth
	drawn := (uint64(s.opened)<<32 | uint64(l.lotOf(s))) * 0x9e3779b97f4a7c15 >> 48
	return l.cfg.MaxLifetime - l.cfg.MaxLifetime/10/share*time.Duration(drawn)
}

// lotOf returns what the lifetime of a stream is drawn by, beside its beginning.
func (l *loop) lotOf(s *stream) uint32 {
	lot := uint32(l.connOf(s).lot)
	if s.isShared() {
		lot |= l.sharedOf(s).ID() << 16
	}
	return lot
}
