package server

import (
	"errors"
	"io"
	"log/slog"

	"millrace/internal/handshake"
	"millrace/internal/tlsrecord"
)

// secured is what a loop has of its TLS connections, beside their slots.
type secured struct {
	keys       *keys
	parts      peaked[streamID, []byte]       // records of which a part has come
	handshakes peaked[streamID, *handshaking] // those under way
	oldest     *handshaking                   // of them, by when something came last
	newest     *handshaking
	over       posted[*handshake.Conn] // those that have something to send, or are over
	overBefore []*handshake.Conn       // backs the next list
	overNotify func(*handshake.Conn)
	rests      *rests // of records that a socket has cut
}

// slowContent is how much of a stream that is behind one record carries, in bytes: what is
// not taken of it is a copy, while messages are shared by all.
const slowContent = 4 << 10

// maxPart bounds the part of a record that is kept of a client that has sent its request, in
// bytes: all that it has to say then, alerts and KeyUpdates, is shorter.
const maxPart = 512

// readSecure is read of a TLS connection: what is in the records that have come, behind
// those of which a part had come before.
func (l *loop) readSecure(c *conn) (n int, _ result) {
	kept := copy(l.buf, l.parts.m[c.id()])
	n, did := l.readSocket(c, l.buf[kept:kept+readSize])
	if did == ended || c.state == stateLinger { // where nothing matters but how much it is
		return n, did
	}
	n += kept
	if n == 0 {
		return 0, sent
	}
	state := l.keys.at(c.id())
	plain, used, err := state.Take(l.buf[:n])
	if rest := l.buf[used:n]; len(rest) == 0 {
		if kept > 0 {
			l.parts.remove(c.id())
		}
	} else if used > 0 || n > kept {
		l.parts.set(c.id(), keep(l.parts.m[c.id()], rest))
	}
	isLast := len(plain) > 0 && c.state == stateHead && errors.Is(err, io.EOF) // a request, and no more: that is answered
	if err != nil && !isLast {
		return 0, l.endRecords(c, err)
	}
	if !l.bearsOverhead(c, used-len(plain)) || c.state > stateHead && c.state != stateHTTP2 && l.holdsMuch(c) {
		l.end(c, reasonTalks)
		return 0, ended
	}
	if l.answerUpdate(c) == ended {
		return 0, ended
	}
	return len(plain), sent
}

// bearsOverhead counts what the records of a read had beside data, in bytes. It returns false when
// that is too much: a connection of HTTP/2 wins it back, since its client has more to say.
func (l *loop) bearsOverhead(c *conn, n int) bool {
	if c.state == stateHTTP2 {
		return l.h2Of(c).SpendOverhead(n, l.now) == nil
	}
	return c.count(n)
}

// keep returns a copy of part, the beginning of something whose rest is to come, in the memory
// of the one before unless that is much more: what came behind the handshake, say.
func keep(before, part []byte) []byte {
	if cap(before) > 2*len(part)+maxPart {
		before = nil
	}
	return append(before[:0], part...)
}

// holdsMuch tells whether more of a record is kept than maxPart.
func (l *loop) holdsMuch(c *conn) bool { return len(l.parts.m[c.id()]) > maxPart }

// endRecords ends a connection from which nothing can be read any more.
func (l *loop) endRecords(c *conn, err error) result {
	state := l.keys.at(c.id())
	if errors.Is(err, io.EOF) {
		if !l.hasRest(c) {
			l.sealed = state.AppendAlert(l.sealed[:0], tlsrecord.CloseNotify)
			c.sendLast(l.sealed)
		}
		l.end(c, reasonClient)
		return ended
	}
	alert := tlsrecord.InternalError
	if e := (*tlsrecord.Error)(nil); errors.As(err, &e) {
		if alert = e.Alert; e.ByPeer {
			l.end(c, reasonClient)
			return ended
		}
	}
	const msg = "a client has broken its TLS connection"
	if l.mayNotice(msg) {
		l.server.log(slog.LevelWarn, msg, "peer", l.peerOf(c).String(), "reason", err.Error())
	}
	if l.hasRest(c) {
		l.end(c, reasonTLS)
		return ended
	}
	l.sealed = state.AppendAlert(l.sealed[:0], alert)
	if _, did := l.writeSocket(c, l.sealed); did == ended {
		return ended
	}
	l.linger(c, reasonTLS)
	return ended
}

// answerUpdate sends the KeyUpdate that the client waits for, if it does. While the rest of a
// record is left, it is sent together with the next one.
func (l *loop) answerUpdate(c *conn) result {
	state := l.keys.at(c.id())
	if !state.Owes() || l.hasRest(c) {
		return sent
	}
	l.sealed = state.AppendOwed(l.sealed[:0])
	n, did := l.writeSocket(c, l.sealed)
	if did == cut {
		return l.keepRest(c, l.sealed[n:], 0)
	}
	return did
}

// writeSecure is write of a TLS connection. Each record is written by itself, until one is
// cut: that one counts as taken, since it has to leave whole, and its rest is kept. So no
// more than one record is ever sealed ahead of the socket, and the sequence of the records
// never goes back.
func (l *loop) writeSecure(c *conn, p []byte) (n int, _ result) {
	state := l.keys.at(c.id())
	most := tlsrecord.MaxContent
	if c.flags.is(behind) {
		most = slowContent
	}
	for n < len(p) {
		content := p[n:min(n+most, len(p))]
		l.sealed = state.AppendData(l.sealed[:0], content)
		taken, did := l.writeSocket(c, l.sealed)
		if did == ended {
			return 0, ended
		}
		n += len(content)
		if did == cut {
			return n, l.keepRest(c, l.sealed[taken:], len(content))
		}
	}
	return n, sent
}

// bidFarewell tells the client of a TLS connection that is about to be ended that nothing was
// cut off: so not one that is stuck, or of which the rest of a record is left. A connection whose
// keys have not come, from a predecessor that has died, cannot be told.
func (l *loop) bidFarewell(c *conn, why reason) {
	if !l.hasKeys(c) {
		return
	}
	switch c.state {
	case stateHead, stateUndecided, stateStream, stateWaiting, stateHTTP2:
	default:
		return
	}
	if why != reasonClient && why != reasonWrite && why != reasonSlow && why != reasonTLS && !c.flags.is(behind) {
		state := l.keys.at(c.id())
		l.sealed = l.sealed[:0]
		if c.state == stateHTTP2 {
			l.sealed = state.AppendData(l.sealed, l.h2Of(c).AppendGoAway(nil, nil))
		}
		l.sealed = state.AppendAlert(l.sealed, tlsrecord.CloseNotify)
		c.sendLast(l.sealed)
	}
}

// writeLast writes the last bytes of a connection: with TLS in records that close_notify
// follows. What the socket does not take is lost.
func (l *loop) writeLast(c *conn, last []byte) result {
	if !c.flags.is(secure) {
		_, did := l.write(c, last)
		return did
	}
	state := l.keys.at(c.id())
	l.sealed = l.sealed[:0]
	for len(last) > 0 {
		n := min(len(last), tlsrecord.MaxContent)
		l.sealed = state.AppendData(l.sealed, last[:n])
		last = last[n:]
	}
	l.sealed = state.AppendAlert(l.sealed, tlsrecord.CloseNotify)
	_, did := l.writeSocket(c, l.sealed)
	return did
}

// forgetKeys forgets what is kept of a TLS connection.
func (l *loop) forgetKeys(c *conn) {
	l.parts.remove(c.id())
	l.dropRest(c)
	if state := l.keys.at(c.id()); state != nil && !state.IsZero() {
		state.Clear()
		l.counters.secure.Add(-1)
	}
}
