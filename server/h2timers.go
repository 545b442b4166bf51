package server

import (
	"millrace/internal/h2"
)

// A connection of HTTP/2 has one timer, for itself and all of its streams. It is set to the
// earliest time at which something may be due; when it comes, all are looked at.

// h2Due does the work that is due on a connection of HTTP/2 and on its streams.
func (l *loop) h2Due(c *conn) {
	l.gather(c)
	h := l.h2Of(c)
	switch wait := l.cfg.HeaderTimeout; {
	case wait > 0 && h.awaits != 0 && h.awaits.age(l.now) >= wait:
		if l.readFrames(c); l.serving != c || h.awaits == 0 || h.awaits.age(l.now) < wait {
			break // what was awaited was there, and the loop late
		}
		l.breakFrames(c, &h2.Error{Code: h2.SettingsTimeout, Text: "what was to come took longer than " + wait.String()})
	case h.first == 0 && c.opened.age(l.now) >= idlePatience:
		l.retire(c, reasonIdle)
	}
	if l.serving == c && !h.broken {
		l.streamsDue(c)
	}
	l.settle()
}

// streamsDue does the work that is due on the streams of a connection of HTTP/2, and sets its
// timer. A ping is a comment on each stream that is silent, since clients look at streams. While
// the socket is full there is none: all that it has to take is kept.
func (l *loop) streamsDue(c *conn) {
	if c.flags.is(behind) && l.isStopped(c) && l.cfg.SlowTimeout > 0 && l.readers.m[c.id()].pace.isStuck(l.now, l.cfg.SlowTimeout) {
		l.failed = reasonSlow
		return
	}
	pings := l.cfg.Keepalive > 0 && l.now >= l.nextPing(c)
	if pings {
		l.passSharedPing(c)
		pings = !l.isStopped(c)
	}
	for s := range l.streamsOf(l.h2Of(c).first) {
		if pings && l.isGreeted(&s.stream) && s.wrote.age(l.now) > hush(l.cfg.Keepalive)+tick {
			if l.ping(&s.stream) == ended {
				continue
			}
		}
		l.due(&s.stream)
	}
	l.scheduleH2(c)
}

// passSharedPing sets when the streams of a connection of HTTP/2 are looked at for pings the next
// time: twice a period. Those that are silent for more than half of it are pinged, since else
// it would be more than all of it the next time.
func (l *loop) passSharedPing(c *conn) {
	due, half := l.nextPing(c), hush(l.cfg.Keepalive)
	c.due = momentOf(due + ((l.now-due)/half+1)*half)
}

// isGreeted tells whether a stream has its response head, and is not behind.
func (l *loop) isGreeted(s *stream) bool {
	switch {
	case s.flags.is(behind):
		return false
	case s.state == stateWaiting:
		return l.waiting.m[s.id()].greeted
	}
	return s.state == stateStream
}

// scheduleH2 sets the timer of a connection of HTTP/2 to what is due on itself, unless it comes
// before that.
func (l *loop) scheduleH2(c *conn) {
	h := l.h2Of(c)
	if wait := l.cfg.HeaderTimeout; wait > 0 && h.awaits != 0 {
		l.scheduleBy(c, l.now-h.awaits.age(l.now)+wait)
	}
	if h.first == 0 {
		l.scheduleBy(c, l.now-c.opened.age(l.now)+idlePatience)
	} else if l.cfg.Keepalive > 0 {
		l.scheduleBy(c, l.nextPing(c))
	}
	if c.flags.is(behind) {
		if at := l.whenJudged(&c.stream); at >= 0 {
			l.scheduleBy(c, at)
		}
	}
}
