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
	case c.state == stateProxy, l.partial[fd] == nil: // nothing came: a spare connection of a browser, say
		l.end(fd, c, reasonHeadLate)
	default:
		l.refuse(fd, c, 408, "the request head took longer than "+l.cfg.HeaderTimeout.String(), false)
	}
}

// streamDue does what is due on a stream: its end, or a ping if it has been
// silent since the last time that one was due.
func (l *loop) streamDue(fd int32, c *conn) {
	if life := l.cfg.MaxLifetime; life > 0 && l.now-c.opened >= life {
		l.end(fd, c, reasonLifetime)
		return
	}
	if c.behind {
		if patience := l.cfg.SlowTimeout; patience > 0 && l.now-l.readers[fd].since >= patience {
			l.end(fd, c, reasonSlow)
			return
		}
	} else if l.cfg.Keepalive > 0 && l.now >= c.due {
		if !c.spoken && !l.ping(fd, c) {
			return
		}
		c.spoken = false
		c.due = nextPhase(c.due, l.cfg.Keepalive, l.now)
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
		sooner(c.opened + l.cfg.MaxLifetime)
	}
	if c.behind {
		if l.cfg.SlowTimeout > 0 {
			sooner(l.readers[fd].since + l.cfg.SlowTimeout)
		}
	} else if l.cfg.Keepalive > 0 {
		sooner(c.due)
	}
	if at < 0 {
		l.wheel.Cancel(fd)
		return
	}
	l.wheel.Schedule(fd, at)
}

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

// nextPhase returns the first time after now that is a whole number of periods
// after due. A stream keeps its phase for life: were pings counted from the
// last event, one broadcast would line up the pings of all its receivers.
func nextPhase(due, period, now time.Duration) time.Duration {
	if due > now {
		return due
	}
	return due + (now-due)/period*period + period
}

var pingBytes = []byte(":keepalive\n\n")

// ping writes a keepalive comment. It returns false when the stream has ended.
func (l *loop) ping(fd int32, c *conn) (alive bool) {
	l.counters.keepalives.Add(1)
	n, alive := l.write(fd, c, pingBytes)
	if alive && n < len(pingBytes) {
		l.fallBehind(fd, c, pingBytes[n:], false)
	}
	return alive
}
