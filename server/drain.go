package server

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// drainGrace is how long the accept queue may take to run empty before the
	// listener is closed regardless: closing it resets the connections in the queue.
	drainGrace = time.Second
	// drainCheck is how often a loop looks at least whether all have left.
	drainCheck = 20 * time.Millisecond
)

// drain is how a loop gets rid of its listener, and then of its streams one by
// one, spread over Config.Drain. The loop turns until Close all the same.
type drain struct {
	begun, over bool
	at          time.Duration // when it began, in loop time
	until       time.Duration // when the streams that are left have had their time
	streams     int64         // how many there were
	visited     int64         // of them, to be dismissed or because they are behind
	next        streamID      // the first slot that has not been visited
}

// Drain closes the listeners at once and the streams over Config.Drain: each
// gets all that has been published, a `retry:` of its own, and the end. Meanwhile
// the others are served as ever. It returns when nothing is left, as Close does;
// Close cuts it short. Safe for concurrent use: a second call waits for the same drain.
func (s *Server) Drain() {
	if s.cfg.Drain > 0 {
		s.drainAll.Do(s.dismissAll)
	}
	s.Close()
}

// dismissAll is Drain without the end.
func (s *Server) dismissAll() {
	s.draining.Store(true)
	for _, l := range s.loops {
		l.waker.Signal()
	}
	s.Start()
	s.awaitDrain()
}

// awaitDrain waits until the loops have done, and logs now and then how far they
// are.
func (s *Server) awaitDrain() {
	log, began, streams := s.cfg.Logger, s.clock(), s.streams.Load()
	log.Info("draining: the listeners close, streams are told to come back", "streams", streams, "over", s.cfg.Drain.String())
	ticker := time.NewTicker(max(s.cfg.Drain/10, time.Second))
	defer ticker.Stop()
	for left := len(s.loops); left > 0; {
		select {
		case <-s.drained:
			left--
		case <-ticker.C:
			log.Info("draining", "streams", s.streams.Load(), "of", streams, "behind", s.Stats().Behind)
		}
	}
	log.Info("drained", "streams", streams, "after", (s.clock() - began).Round(time.Millisecond).String(), "cut_off", s.streams.Load())
}

// drainOn begins the drain when it has been asked for, and goes on with it: it
// visits at most budget streams. It returns true when there is more to do.
func (l *loop) drainOn(budget int) (more bool) {
	d := &l.drain
	switch {
	case d.over || !l.server.draining.Load():
		return false
	case !d.begun:
		*d = drain{begun: true, at: l.now, until: l.now + l.cfg.Drain + lingerTimeout, streams: l.counters.streams.Load()}
		for _, ln := range l.listeners {
			ln.accepting = true // those in the accept queue are told as well
		}
		return true
	case len(l.listeners) > 0:
		waits := func(ln *listener) bool { return ln.accepting && !ln.paused }
		if slices.ContainsFunc(l.listeners, waits) && l.now-d.at < drainGrace {
			return true
		}
		l.closeListeners()
	}
	if l.turnAwayUndecided(budget, reasonDrained) {
		return true
	}
	share := min(float64(l.now-d.at)/float64(l.cfg.Drain), 1)
	for due := min(int64(share*float64(d.streams))+1, d.streams); d.visited < due; budget-- {
		if budget == 0 {
			return true
		}
		c := l.table.next(l.number, d.next)
		if c == nil {
			d.visited = d.streams // others left of their own accord
			break
		}
		d.next = c.id() + 1
		if c.state == stateHTTP2 {
			d.visited += l.dismissShared(c)
		} else {
			d.visited += l.dismissDrained(&c.stream)
		}
	}
	if l.counters.streams.Load() == 0 {
		d.until = min(d.until, l.now+lingerTimeout)
	}
	if l.counters.connections.Load() == 0 || l.now >= d.until {
		l.drainOver()
		return false
	}
	l.wheel.Schedule(l.waker.FD(), d.nextStep(l.now, l.cfg.Drain))
	return false
}

// dismissShared dismisses all streams of a connection of HTTP/2, and returns how many those are.
func (l *loop) dismissShared(c *conn) (streams int64) {
	l.retire(c, reasonDrained)
	for s := range l.streamsOf(l.h2Of(c).first) {
		streams += l.dismissDrained(&s.stream)
	}
	return streams
}

// dismissDrained dismisses a stream, if there is one yet, and returns how many that is.
func (l *loop) dismissDrained(s *stream) (streams int64) {
	if s.state != stateStream && s.state != stateWaiting {
		return 0
	}
	l.dismiss(s, farewell{why: reasonDrained, retry: l.cfg.drainDelay()})
	return 1
}

// nextStep is when there will be something to do.
func (d *drain) nextStep(now, over time.Duration) time.Duration {
	at := now + drainCheck
	if d.visited < d.streams {
		at = min(at, d.at+time.Duration(float64(over)*float64(d.visited)/float64(d.streams)))
	}
	return min(max(at, now+tick), d.until)
}

// drainOver tells that the loop has done with its drain, once.
func (l *loop) drainOver() {
	if !l.drain.over {
		l.drain.over = true
		l.server.drained <- struct{}{}
	}
}

// drainDelay is when a stream that is dismissed may come back. Where there is
// another server, the closes are spread already, so it need not be long; where
// this one is started again at once, all come back to it within the longest.
func (cfg *Config) drainDelay() time.Duration {
	shortest := max(cfg.Drain/30, time.Millisecond)
	longest := max(cfg.Drain/3, shortest)
	return shortest + rand.N(longest-shortest+1)
}
