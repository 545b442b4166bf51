package server

import (
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"
)

// Times that a client which is not let in is told to wait: at least turnAwayDelay, at most
// three times as long where nothing is known of how many wait, and longestDelay where
// it is.
const (
	turnAwayDelay = 5 * time.Second
	longestDelay  = time.Minute
)

// turnAway answers a stream request that comes when there is no room, too soon,
// or too late. An EventSource takes any status but 200 as final, so it gets a
// stream that says when to come back, each client a time of its own, and ends.
func (l *loop) turnAway(c *conn, to asker, why reason) {
	if l.mayNotice(why.String()) {
		l.server.log(slog.LevelWarn, "a client is told to come back later", "reason", why.String(), "peer", l.peerOf(c).String())
	}
	b := l.server.heads.streamHead(l.out[:0], to.origin)
	if !to.onlyHead {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, l.retryDelay(why).Milliseconds(), 10)
		b = append(b, "\n\n"...)
	}
	l.out = b
	l.finish(c, b, why)
}

// retryDelay draws the time after which a client that is turned away is to come
// back. A crowd above the accept rate returns at that rate, one after the other;
// were it told a time out of a fixed span, a large one would come again and
// again, and in vain.
func (l *loop) retryDelay(why reason) time.Duration {
	if why != reasonRate {
		return turnAwayDelay + rand.N(2*turnAwayDelay)
	}
	if wait, ok := l.server.arrivals.Book(l.now, turnAwayDelay, longestDelay); ok {
		return wait
	}
	return turnAwayDelay + rand.N(longestDelay-turnAwayDelay)
}
