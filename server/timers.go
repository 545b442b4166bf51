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
		l.undecidedDue(c)
	case stateHandshake:
		l.handshakeDue(c)
	case stateStream:
		l.streamDue(c)
	case stateWaiting:
		l.waitingDue(c)
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
		l.refuse(c, l.askerOf(l.unfinished.m[c.id()].b), 408, "the request head took longer than "+l.cfg.HeaderTimeout.String())
	}
}

// streamDue does the work that is due on a stream: its end, or a ping if it is silent.
func (l *loop) streamDue(c *conn) {
	if l.hasLived(c) {
		l.end(c, reasonLifetime)
		return
	}
	if l.hasExpired(c) && !l.isLeaving(c) {
		l.dismiss(c, farewellExpired())
		return
	}
	if c.flags.is(behind) {
		if l.hasLeft(c) || l.judge(c) != cut {
			return
		}
	} else if l.pingWhenDue(c) == ended {
		return
	}
	l.scheduleStream(c)
}

// scheduleStream sets the stream's timer to the earliest time at which something becomes
// due.
func (l *loop) scheduleStream(c *conn) {
	at := time.Duration(-1)
	sooner := func(t time.Duration) {
		if at < 0 || t < at {
			at = t
		}
	}
	if l.cfg.MaxLifetime > 0 {
		sooner(l.now - c.opened.age(l.now) + l.lifetime(c))
	}
	if end := l.grantEnd(c); end >= 0 && !l.isLeaving(c) {
		sooner(end)
	}
	if c.flags.is(behind) {
		if at := l.whenJudged(c); at >= 0 {
			sooner(at)
		}
		if by := l.readers.m[c.id()].farewell.by; by > 0 {
			sooner(by)
		}
	} else if l.cfg.Keepalive > 0 {
		sooner(l.nextPing(c))
	}
	if at < 0 {
		l.cancel(c)
		return
	}
	l.schedule(c, at)
}

// hasLived tells whether a stream has reached its lifetime.
func (l *loop) hasLived(c *conn) bool {
	return l.cfg.MaxLifetime > 0 && c.opened.age(l.now) >= l.lifetime(c)
}

// lifetime returns the age at which a stream is closed: MaxLifetime less up to a
// tenth, so that streams that came together do not leave together, and come back
// together, every lifetime anew. It is not kept anywhere: the descriptor and the
// time when the stream began draw it.
func (l *loop) lifetime(c *conn) time.Duration {
	const share = 1 << 16 // of a tenth
	drawn := (uint64(c.opened)<<32 | uint64(c.id())) * 0x9e3779b97f4a7c15 >> 48
	return l.cfg.MaxLifetime - l.cfg.MaxLifetime/10/share*time.Duration(drawn)
}
