package server

import "time"

const (
	// fastWindow is how often the pace of a reader that publishers wait for is judged.
	fastWindow = 250 * time.Millisecond
	// fastBytes is the least that such a reader takes in that time: 1 MiB a second.
	fastBytes = 1 << 20 / 4
	// fastCredit is how much of what it took before counts in a window, in bytes: a client
	// on a busy host may not get to read for a moment. So a reader that stops holds up
	// publishers for 2 s at most, and once for 2 MiB that it has taken.
	fastCredit = 7 * fastBytes
	// fastLate is how late a loop may judge. If it is later, the host is busy, and its clients
	// had no time to read either, so another window begins.
	fastLate = fastWindow / 4
	// fastMost is how long after a reader has fallen behind another window may begin.
	fastMost = 2 * time.Second
	// floorRate is the least that a reader has to take to go on being behind for longer than
	// Config.SlowTimeout, in bytes a second, over each such time.
	floorRate = 4 << 10
)

// pace is how fast a stream that is behind takes bytes, in loop time.
//
// Publishers wait for a reader that is fast: one that took fastBytes in each window of
// late, or whose socket took all that it was last offered, so that the loop owes it more. A
// reader that has just fallen behind counts as fast for one window, and then has the bytes to
// its credit that it had taken before that. It is judged after a write of as much as its
// socket takes, since the loop may have been late.
type pace struct {
	window time.Duration // when the window began
	taken  int           // bytes since then, and fastCredit of before
	owed   bool          // the socket took all of the last write
	asked  bool          // the kernel has told what it took before it fell behind
	last   time.Duration // when the last byte was taken
	judged time.Duration // when the present time of Config.SlowTimeout began
	total  int           // bytes since then
}

func newPace(now time.Duration) pace { return pace{window: now, last: now, judged: now} }

// take counts n bytes that the socket has taken.
func (p *pace) take(n int, now time.Duration) {
	if n == 0 {
		return
	}
	p.last = now
	p.total += n
	p.taken += n
}

// isFast tells whether publishers are to wait for the reader.
func (p *pace) isFast() bool { return p.owed || p.taken >= fastBytes }

// isStuck tells whether the reader has taken nothing, or next to nothing, for as long
// as patience.
func (p *pace) isStuck(now, patience time.Duration) bool {
	if now-p.last >= patience {
		return true
	}
	if now-p.judged < patience {
		return false
	}
	least := int(patience.Seconds() * floorRate)
	stuck := p.total < least
	p.judged, p.total = now, 0
	return stuck
}

// excuse has the reader's patience begin anew: it is the loop that has nothing for it to take.
func (p *pace) excuse(now time.Duration) { p.last, p.judged, p.total = now, now, 0 }

// becomeFast has publishers wait for a reader again that has become fast, or for one of
// whose pace nothing was known.
func (l *loop) becomeFast(s *stream) {
	p := &l.readers.m[s.id()].pace
	if s.flags.set(fast, p.isFast()); p.isFast() {
		p.window, p.taken = l.now, 0
		l.scheduleStream(s)
	}
}

// judge lets a stream that is behind catch up, ends it if it has been stuck for too long, and
// decides whether it is fast.
func (l *loop) judge(s *stream) result {
	if did := l.catchUp(s); did != cut {
		return did
	}
	p := &l.readers.m[s.id()].pace
	if patience := l.cfg.SlowTimeout; patience > 0 && p.isStuck(l.now, patience) {
		l.endStream(s, reasonSlow)
		return ended
	}
	switch late := l.now - p.window - fastWindow; {
	case late < 0:
	case late >= fastLate && l.now-l.readers.m[s.id()].fell < fastMost:
		p.window = l.now
	default:
		if s.flags.is(fast) && !p.isFast() && !p.asked {
			p.asked = true
			p.taken += min(l.connOf(s).acknowledged(), fastCredit)
		}
		if s.flags.is(fast) && !p.isFast() {
			l.needLess(s)
		}
		s.flags.set(fast, p.isFast())
		p.window, p.taken = l.now, min(max(p.taken-fastBytes, 0), fastCredit)
	}
	return cut
}

// whenJudged returns when a stream that is behind is to be judged next, -1 for never.
func (l *loop) whenJudged(s *stream) time.Duration {
	p, at := &l.readers.m[s.id()].pace, time.Duration(-1)
	if patience := l.cfg.SlowTimeout; patience > 0 {
		at = min(p.last, p.judged) + patience
	}
	if next := p.window + fastWindow; s.flags.is(fast) && (at < 0 || next < at) {
		at = next
	}
	return at
}
