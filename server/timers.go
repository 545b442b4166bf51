package server

import "time"

// expire is what the one timer of a descriptor means when it fires.
func (l *loop) expire(fd int32) {
	c := l.table.at(fd)
	switch c.state {
	case stateListener:
		l.resumeAccepting()
	case stateProxy, stateHead:
		l.headDue(fd, c)
	case stateStream:
		l.streamDue(fd, c)
	case stateWaiting:
		l.waitingDue(fd, c)
	case stateLinger:
		l.end(fd, c, c.why)
	}
}

// headDue ends the wait for a request head. What is there already counts, though
// it has not been looked at: a loop that was held up must not blame its clients.
func (l *loop) headDue(fd int32, c *conn) {
	l.readHead(fd, c)
	switch {
	case !l.table.owned(fd, l.number) || c.state != stateProxy && c.state != stateHead:
	case c.state == stateProxy, l.partial.m[fd] == nil: // nothing came: a spare connection of a browser, say
		l.end(fd, c, reasonHeadLate)
	default:
		l.refuse(fd, c, l.askerOf(l.partial.m[fd].b), 408, "the request head took longer than "+l.cfg.HeaderTimeout.String())
	}
}

// streamDue does what is due on a stream: its end, or a ping if it is silent.
func (l *loop) streamDue(fd int32, c *conn) {
	if l.hasLived(fd, c) {
		l.end(fd, c, reasonLifetime)
		return
	}
	if c.behind {
		if !l.judge(fd, c) {
			return
		}
	} else if l.cfg.Keepalive > 0 && l.now >= l.nextPing(c) {
		if l.isSilent(c) && !l.ping(fd, c) {
			return
		}
		l.passPing(c)
	}
	l.scheduleStream(fd, c)
}

// scheduleStream sets the stream's timer to the earliest of what can become
// due.
func (l *loop) scheduleStream(fd int32, c *conn) {
	at := time.Duration(-1)
	sooner := func(t time.Duration) {
		if at < 0 || t < at {
			at = t
		}
	}
	if l.cfg.MaxLifetime > 0 {
		sooner(l.now - c.opened.since(l.now) + l.lifetime(fd, c))
	}
	if c.behind {
		if at := l.whenJudged(fd, c); at >= 0 {
			sooner(at)
		}
	} else if l.cfg.Keepalive > 0 {
		sooner(l.nextPing(c))
	}
	if at < 0 {
		l.wheel.Cancel(fd)
		return
	}
	l.wheel.Schedule(fd, at)
}

// hasLived tells whether a stream has reached its lifetime.
func (l *loop) hasLived(fd int32, c *conn) bool {
	return l.cfg.MaxLifetime > 0 && c.opened.since(l.now) >= l.lifetime(fd, c)
}

// lifetime returns the age at which a stream is closed: MaxLifetime less up to a
// tenth, so that those who came together do not leave together, and come back
// together, every lifetime anew. It is not kept anywhere: the descriptor and the
// time when the stream began draw it.
func (l *loop) lifetime(fd int32, c *conn) time.Duration {
	const share = 1 << 16 // of a tenth
	drawn := (uint64(c.opened)<<32 | uint64(fd)) * 0x9e3779b97f4a7c15 >> 48
	return l.cfg.MaxLifetime - l.cfg.MaxLifetime/10/share*time.Duration(drawn)
}
