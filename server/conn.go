package server

import (
	"math"
	"sync/atomic"

	"millrace/internal/limits"
	"millrace/timerwheel"
)

// conn is the server's state of one connection: one cache line, no pointer,
// so that a million of them cost the garbage collector nothing.
//
// owner is the loop that has the slot: its number and one, or 0 for none.
// It is set after the slot is filled and cleared before the descriptor is
// closed, so a loop that finds its own number may touch the rest, and any other
// loop, roused by a stale event, must not.
type conn struct {
	owner   atomic.Int32
	address limits.Ref // the client's entry in Server.addresses, if it is counted there
	slot
}

// slot is the stream that a connection of HTTP/1.1 is or may become, and what its socket needs
// beside.
type slot struct {
	stream
	timer    timerwheel.Node // the one timer of this connection
	due      moment          // the next ping; at most a period ahead
	unbroken unbroken        // of a gzip stream
	lot      uint16          // its lifetime is drawn by it
	heard    uint16          // bytes that came after the request head, and what records had beside data: see loop.hear
}

// certificate returns the number of the certificate that a client whose request is awaited
// has got.
func (c *conn) certificate() int32 {
	if c.flags.is(secure) {
		return c.place
	}
	return noCertificate
}

// flags are properties of a connection, or of a stream.
type flags uint16

const (
	toldToReturn flags = 1 << iota // it counts at its address as one that may not become a stream
	behind                         // stream: it has an entry in loop.readers
	granted                        // stream: it has an entry in table.grants
	fast                           // stream: it is behind, and publishers wait for it: see slowReader.pace
	secure                         // it has TLS
	counted                        // connection of HTTP/2: its streams are counted as closed, not it
	gzipped                        // stream: it has the content coding gzip
	failed                         // its TLS handshake has failed, which is counted
	halfway                        // stream: its next ping is due half a period after its phase
	moved                          // it was taken over
	held                           // stream: the predecessor may take it back, see loop.holds
)

func (f flags) is(flag flags) bool { return f&flag != 0 }

func (f *flags) set(flag flags, on bool) {
	*f &^= flag
	if on {
		*f |= flag
	}
}

// state is the use of a descriptor, and the meaning of its timer.
type state uint8

const (
	stateFree      state = iota
	stateWake            // the loop's wake descriptor
	stateListener        // timer: try to accept again
	stateProxy           // a PROXY header is awaited, then a request head; timer: the deadline of both
	stateHello           // TLS: a ClientHello is awaited; timer: the deadline of the request head
	stateHandshake       // TLS: the handshake is under way, see loop.handshakes; timer: the same
	stateHead            // a request head is awaited; timer: its deadline
	stateUndecided       // a request waits for its verdict; timer: no longer
	stateStream          // timer: the next ping, the end of patience, or of life
	stateWaiting         // a stream that cannot begin yet; timer: its head, or as that of a stream
	stateHTTP2           // its streams have states of their own; timer: see scheduleH2
	stateLinger          // answered, waiting for the peer's end; timer: no longer
)

// end closes a connection and forgets all that was known of it. Its slot may
// belong to another loop from then on: nothing may touch c afterwards.
func (l *loop) end(c *conn, why reason) {
	if c.flags.is(secure) {
		l.bidFarewell(c, why)
	}
	l.forget(c, why)
	if c.flags.is(secure) {
		l.forgetKeys(c)
	}
	if l.cfg.keepsPeers() {
		l.peers.remove(c.id())
	}
	if c.address != 0 {
		l.server.addresses.Leave(c.address, c.flags.is(toldToReturn), l.now)
	}
	l.cancel(c)
	if !c.flags.is(counted) {
		l.counters.closed[why].Add(1)
	}
	l.counters.connections.Add(-1)
	l.server.open.Add(-1)
	l.occupancy.sockets.Add(-1)
	l.close(c)
	l.giveRoom()
}

// forget takes a connection out of the lists and tables of its state.
func (l *loop) forget(c *conn, why reason) {
	switch c.state {
	case stateHello:
		l.abandonHandshake(c, why)
		l.dropHead(&c.stream)
	case stateProxy, stateHead:
		l.dropHead(&c.stream)
	case stateHandshake:
		l.abandonHandshake(c, why)
		l.dropHandshake(c)
	case stateHTTP2:
		l.dropHTTP2(c, why)
	case stateLinger:
		l.counters.lingering.Add(-1)
	default:
		l.forgetStream(&c.stream, why)
	}
}

// forgetStream takes a stream out of the lists and tables of its state.
func (l *loop) forgetStream(s *stream, why reason) {
	switch s.state {
	case stateUndecided:
		l.dropUndecided(s)
	case stateStream, stateWaiting:
		l.leaveChannels(s, why)
	}
}

// maxHeard is how much a client may send after its request head, in bytes.
const maxHeard = math.MaxUint16

// hear reads to see the client leave: it has nothing more to say. One that keeps
// sending would be read for as long as it likes, so it is ended.
func (l *loop) hear(c *conn) {
	n, did := l.read(c)
	switch {
	case did == ended || c.count(n):
	case c.state == stateLinger:
		l.end(c, c.why)
	default:
		l.end(c, reasonTalks)
	}
}

// count adds n to the bytes that came for nothing. It returns false when
// that is too much.
func (c *conn) count(n int) (bearable bool) {
	n += int(c.heard)
	c.heard = uint16(min(n, maxHeard))
	return n <= maxHeard
}
