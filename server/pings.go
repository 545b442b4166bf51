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
	}
}

// nextPing returns when a stream's ping is due, which may be past.
func (l *loop) nextPing(c *conn) time.Duration { return c.due.within(l.cfg.Keepalive, l.now) }

// passPing sets a stream's next ping to the first time after now at its phase.
func (l *loop) passPing(c *conn) {
	period := l.cfg.Keepalive
	if due := l.nextPing(c); period > 0 && due <= l.now {
		c.due = momentOf(due + (l.now-due)/period*period + period)
	}
}

// isSilent tells whether a stream needs the ping that is due. It does not if
// something was written just before. Whatever came earlier does not stand in for
// a ping: the silence after it would last up to two periods, and a proxy that
// waits for little more than one would end the stream.
func (l *loop) isSilent(c *conn) bool {
	return c.wrote.age(l.now) >= min(longestHush, l.cfg.Keepalive/4)
}

// longestHush is how long before a ping something must be written to stand in
// for it. A stream is silent for no more than the period and this.
const longestHush = 250 * time.Millisecond

var pingBytes = []byte(":keepalive\n\n")

// pingWhenDue writes a keepalive comment to a stream whose ping is due, if it is silent.
func (l *loop) pingWhenDue(c *conn) result {
	if l.cfg.Keepalive == 0 || l.now < l.nextPing(c) {
		return sent
	}
	did := sent
	if l.isSilent(c) {
		l.counters.keepalives.Add(1)
		did = l.send(c, len(pingBytes), nil, pingBytes)
	}
	if did != ended {
		l.passPing(c)
	}
	return did
}
