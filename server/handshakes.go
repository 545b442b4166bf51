package server

import (
	"log/slog"
	"slices"
	"sync/atomic"

	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/netpoll"
	"millrace/internal/tlsrecord"
)

// handshaking is a TLS handshake under way. They form a list, by when something came from
// their clients last.
type handshaking struct {
	*handshake.Conn
	older, newer *handshaking
	writes       bool // the socket is full: the loop is told when it is not
	left         bool // the client has closed
	full         bool // as much has come as may wait: nothing is read until it is over
	peer         netpoll.Peer
}

// handshakeKinds are the kinds of failures that are counted: those of the handshake itself,
// and of the loop.
var handshakeKinds = [...]handshake.Failure{
	handshake.Version, handshake.Plain, handshake.Garbage, handshake.Refused, handshake.Left, handshake.Timeout,
	handshake.Certificate, handshake.Protocol, handshake.Handover, handshake.Panic, failureCrowded, failureUpgrade, failureInternal,
}

const (
	failureCrowded  handshake.Failure = "crowded"  // too many under way, or too many connections, of which this one waited for its client
	failureUpgrade  handshake.Failure = "upgrade"  // under way when the loop was handed over to another process
	failureInternal handshake.Failure = "internal" // the host's, such as a poller that refuses a descriptor
)

// handshakeFailures counts the handshakes that have failed, by kind.
type handshakeFailures [len(handshakeKinds)]atomic.Uint64

func (f *handshakeFailures) count(kind handshake.Failure) {
	f[slices.Index(handshakeKinds[:], kind)].Add(1)
}

// typeHandshake is the type of the record that has a ClientHello.
const typeHandshake = 22

// readHello takes in what a client of the TLS port has sent first. When that is a whole
// record, the handshake begins: a client that says nothing has no goroutine. It returns true
// when more is awaited.
func (l *loop) readHello(c *conn, head []byte) (awaited bool) {
	switch {
	case head[0] == typeHandshake && (len(head) < 2 || head[1] == 3):
		if n, ok := tlsrecord.Len(head); !ok || n > len(head) {
			if n > tlsrecord.MaxRecord {
				break
			}
			l.keepHead(c, head)
			return true
		}
		return l.beginHandshake(c, head)
	case head[0] >= 'A' && head[0] <= 'Z': // a method
		l.failHandshake(c, handshake.Plain, "a request in the clear")
		c.flags.set(secure, false)
		l.refuse(&c.stream, asker{}, 400, "this port takes TLS only: ask for https:// in place of http://")
		return false
	}
	l.failHandshake(c, handshake.Garbage, "what came is no TLS")
	l.end(c, reasonTLS)
	return false
}

// beginHandshake hands what has come to a handshake, unless there is no place for one more.
func (l *loop) beginHandshake(c *conn, hello []byte) (awaited bool) {
	if len(l.handshakes.m) >= l.server.handshakesEach && !l.dropHandshakeFor() {
		l.failHandshake(c, failureCrowded, "as many as there may be are computing")
		l.end(c, reasonTLS)
		return false
	}
	h := &handshaking{Conn: l.cfg.TLS.Start(int32(c.id()), l.overNotify), peer: l.peerOf(c)}
	l.handshakes.set(c.id(), h)
	l.counters.handshaking.Add(1)
	l.link(h)
	c.state = stateHandshake
	h.Feed(hello)
	l.dropHead(&c.stream)
	return true
}

// notifyHandshake is called by handshakes, in their goroutines.
func (l *loop) notifyHandshake(h *handshake.Conn) {
	if l.over.add(h) {
		l.waker.Signal()
	}
}

// dropHandshakeFor ends the handshake that has waited for its client for longest. It returns
// false when none of those that were begun first waits for its client.
func (l *loop) dropHandshakeFor() bool {
	h := l.oldest
	for range 64 {
		if h == nil {
			return false
		}
		if h.Waits() {
			c := l.table.at(streamID(h.ID))
			l.failHandshake(c, failureCrowded, "as many as there may be are under way, and this one waited for its client for longest")
			l.end(c, reasonCrowded)
			return true
		}
		h = h.newer
	}
	return false
}

// onHandshake serves a socket whose handshake is under way.
func (l *loop) onHandshake(c *conn, readable bool) {
	h := l.handshakes.m[c.id()]
	if readable && !h.left {
		n, open := c.receive(l.buf[:readSize])
		switch {
		case !open: // why it has closed, the handshake may know
			h.left = true
			h.End()
			if l.unwatch(c) != nil {
				l.end(c, reasonTLS)
				return
			}
		case n > 0:
			l.unlink(h)
			l.link(h)
			if h.full = !h.Feed(l.buf[:n]); h.full && l.unwatch(c) != nil {
				l.end(c, reasonTLS)
				return
			}
		}
	}
	l.advanceHandshake(c, h)
}

// takeHandshakes goes on with the handshakes that have something for the loop.
func (l *loop) takeHandshakes() {
	list := l.over.take(l.overBefore[:0])
	for _, h := range list {
		if own := l.handshakes.m[streamID(h.ID)]; own != nil && own.Conn == h { // else it has been dropped
			l.advanceHandshake(l.table.at(streamID(h.ID)), own)
		}
	}
	if list != nil {
		clear(list)
		l.overBefore = list
	}
}

// advanceHandshake sends what the handshake has to send and, when that is all, takes the
// connection over.
func (l *loop) advanceHandshake(c *conn, h *handshaking) {
	over, err := h.Result() // before Unsent, which has all of it then
	if unsent := h.Unsent(); len(unsent) > 0 {
		n, did := l.writeSocket(c, unsent)
		if did == ended {
			return
		}
		h.Sent(n)
		if full := did == cut; full != h.writes {
			h.writes = full
			watch := l.unwatchWrites
			if full {
				watch = l.watchWrites
			}
			if watch(c) != nil {
				l.end(c, reasonTLS)
				return
			}
		}
		if did == cut {
			return
		}
	}
	switch {
	case over && err != nil:
		l.failHandshake(c, h.Why(err), err.Error())
		if h.left {
			l.end(c, reasonTLS)
		} else {
			l.linger(c, reasonTLS)
		}
	case over && h.left:
		l.end(c, reasonClient)
	case over:
		l.takeOver(c, h)
	}
}

// takeOver gives a connection whose handshake is over to the loop, with what the client has
// sent behind it.
func (l *loop) takeOver(c *conn, h *handshaking) {
	state, err := l.keys.claim(c.id())
	if err != nil {
		l.failHandshake(c, handshake.Handover, err.Error())
		l.end(c, reasonTLS)
		return
	}
	unread, full, protocol := h.Take(state), h.full, h.Protocol()
	if l.cfg.CertificateOf != nil {
		c.place = l.cfg.CertificateOf(h.ServerName())
	}
	l.dropHandshake(c)
	l.counters.handshakes.Add(1)
	l.counters.secure.Add(1)
	c.state = stateHead
	if full && l.watch(c) != nil {
		l.end(c, reasonTLS)
		return
	}
	if protocol == certs.ChallengeProtocol {
		l.finish(&c.stream, nil, reasonAnswered)
		return
	}
	if len(unread) > 0 {
		l.parts.set(c.id(), unread)
	}
	if protocol == "h2" {
		l.beginHTTP2(c)
		l.readFrames(c)
		return
	}
	if len(unread) > 0 {
		l.readHead(c)
	}
}

// dropHandshake forgets a handshake, and gives it up if it is not over.
func (l *loop) dropHandshake(c *conn) {
	h := l.handshakes.m[c.id()]
	l.handshakes.remove(c.id())
	l.counters.handshaking.Add(-1)
	l.unlink(h)
	h.Close()
}

// handshakeDue ends a handshake that has taken too long, or has not begun.
func (l *loop) handshakeDue(c *conn) {
	l.failHandshake(c, handshake.Timeout, "it took longer than "+l.cfg.HeaderTimeout.String())
	l.end(c, reasonHeadLate)
}

// maxDetail bounds what is logged of why a handshake has failed, in bytes: crypto/tls quotes
// what the client has sent. maxStack does of a panic.
const maxDetail, maxStack = 256, 4 << 10

// abandonHandshake counts a handshake, or the wait for one, that ends with its connection for
// another reason than its own. A client that has said nothing, and leaves, looked whether the
// port is open.
func (l *loop) abandonHandshake(c *conn, why reason) {
	begun := c.state == stateHandshake || l.unfinished.m[c.id()] != nil
	switch {
	case c.flags.is(failed) || why == reasonShutdown:
	case why == reasonCrowded:
		l.failHandshake(c, failureCrowded, "its place was needed")
	case !begun:
	case why == reasonUpgrade:
		l.failHandshake(c, failureUpgrade, "it was under way when the server handed its connections over")
	case why == reasonClient || why == reasonWrite:
		l.failHandshake(c, handshake.Left, "the client has gone")
	default:
		l.failHandshake(c, failureInternal, why.String())
	}
}

// failHandshake counts and logs why a handshake has failed.
func (l *loop) failHandshake(c *conn, kind handshake.Failure, detail string) {
	c.flags.set(failed, true)
	l.counters.handshakeFailures.count(kind)
	msg := "a TLS handshake has failed: " + string(kind)
	if !l.mayNotice(msg) {
		return
	}
	peer := l.peerOf(c)
	if h := l.handshakes.m[c.id()]; h != nil { // which knows it even if the client has gone
		peer = h.peer
	}
	level, most := slog.LevelInfo, maxDetail
	switch kind {
	case handshake.Panic:
		level, most = slog.LevelError, maxStack
	case handshake.Handover, handshake.Certificate, failureInternal:
		level = slog.LevelError
	}
	l.server.log(level, msg, "peer", peer.String(), "detail", detail[:min(len(detail), most)])
}

// link puts h at the new end of the list.
func (l *loop) link(h *handshaking) {
	h.older, h.newer = l.newest, nil
	if l.newest != nil {
		l.newest.newer = h
	} else {
		l.oldest = h
	}
	l.newest = h
}

// unlink takes h out of the list.
func (l *loop) unlink(h *handshaking) {
	if h.older != nil {
		h.older.newer = h.newer
	} else {
		l.oldest = h.newer
	}
	if h.newer != nil {
		h.newer.older = h.older
	} else {
		l.newest = h.older
	}
	h.older, h.newer = nil, nil
}
