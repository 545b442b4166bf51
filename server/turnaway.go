package server

import (
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"millrace/internal/auth"
	"millrace/internal/limits"
	"millrace/internal/netpoll"
)

// Times that a client which is not let in is told to wait: at least turnAwayDelay, at most
// three times as long where nothing is known of how many wait, and longestDelay where
// it is.
const (
	turnAwayDelay = 5 * time.Second
	longestDelay  = time.Minute
)

// admit decides whether a stream may come of a connection. If none may, the
// request is still awaited, to tell an EventSource to come back; and other
// requests are answered as ever, which a health check needs most when much is
// going on. A client that its proxy has not named counts at no address. The connection
// is ended if too many of that address are being told already.
func (l *loop) admit(c *conn, client netpoll.Peer, named bool) result {
	if named && l.server.addresses != nil {
		var decision limits.Decision
		c.address, decision = l.server.addresses.Arrive(limits.NetworkOf(client.IP), l.now)
		c.why = whyNot[decision]
		c.flags.set(toldToReturn, c.why != admitted)
		if c.why == reasonAddressFlood {
			return l.drop(c, client, c.why, "too many of this address are being told to come back")
		}
	}
	// A connection that is refused already takes nothing from the bucket of all, or
	// one address could empty it.
	if c.why == admitted && !l.server.arrivals.Take(l.now) {
		c.why = reasonRate
	}
	return sent
}

// whyNot has the reason for which an address's connection may not become a stream.
var whyNot = [...]reason{
	limits.Admitted:   admitted,
	limits.AboveLimit: reasonAddressLimit,
	limits.AboveRate:  reasonAddressRate,
	limits.Flood:      reasonAddressFlood,
}

// objection tells why a connection may not become a stream on any channel.
func (l *loop) objection(s *stream) reason {
	switch {
	case l.connOf(s).why != admitted:
		return l.connOf(s).why
	case l.drain.begun:
		return reasonDrained
	}
	return admitted
}

// takePlaces takes the places of a stream on l.names: of its channels, of the stream itself,
// and of its user. Without them it returns why the client is to be turned away.
func (l *loop) takePlaces(s *stream, v *auth.Verdict) (user limits.UserRef, why reason) {
	switch {
	case !l.inbox.HasRoom(l.server.capacity.channels, l.names...):
		return 0, reasonChannels
	}
	if why := l.takeStream(s); why != admitted {
		return 0, why
	}
	user, ok := l.joinUser(v)
	if !ok {
		l.leaveStream(s)
		return 0, reasonUserLimit
	}
	return user, admitted
}

// turnAway answers a stream request that comes when there is no room, too soon,
// or too late. An EventSource takes any status but 200 as final, so it gets a
// stream that says when to come back, each client a time of its own, and ends.
func (l *loop) turnAway(s *stream, to asker, why reason) {
	if l.mayNotice(why.String()) {
		l.server.log(slog.LevelWarn, "a client is told to come back later", "reason", why.String(), "peer", l.peerOf(l.connOf(s)).String())
	}
	b := l.putHead(s, l.server.heads.streamHead(l.out[:0], to.origin, min(to.coding, codingNone)))
	if !to.onlyHead {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, l.retryDelay(why).Milliseconds(), 10)
		b = append(b, "\n\n"...)
	}
	l.out = b
	if c := l.connOf(s); s.isShared() && c.why != admitted { // it is judged anew when it comes back
		l.retire(c, c.why)
	}
	l.finish(s, b, why)
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
