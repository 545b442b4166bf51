package server

import (
	"millrace/internal/h2"
	"millrace/internal/tlsrecord"
)

// What is to go to a connection of HTTP/2 gathers in reader.Out, as frames, so that it goes out
// together: answers of the protocol, heads, and the messages of all streams. As long as a
// connection is served, its streams may end, but it does not: settle ends it.

// maxHeld bounds the frames beside messages that are kept while a socket is full, in bytes, and
// heldEach what comes on top for each open stream, which has a head. A client that asks and does
// not read is ended above it; one that opens all of its streams at once, and has missed much on
// the first of them, is not.
const (
	maxHeld  = 16 << 10
	heldEach = 512
)

// gather has frames gather for a connection of HTTP/2. The one that was served before is
// settled.
func (l *loop) gather(c *conn) {
	if l.serving != c {
		l.settle()
		l.serving = c
	}
}

// settle sends what has gathered for a connection, and ends it if it is to end.
func (l *loop) settle() {
	c := l.serving
	if c == nil {
		return
	}
	l.sendFrames()
	h, failed := l.h2Of(c), l.failed
	l.serving, l.failed = nil, admitted
	switch {
	case failed != admitted:
		l.end(c, failed)
	case h.leaving == admitted || !h.broken && h.first != 0:
	case !l.isStopped(c):
		if l.writeLast(c, nil) != ended {
			l.linger(c, h.leaving)
		}
	case h.broken:
		l.end(c, h.leaving)
	}
}

// isStopped tells whether nothing can be written to a connection of HTTP/2, since its socket has
// to take something first.
func (l *loop) isStopped(c *conn) bool {
	if !c.flags.is(behind) {
		return false
	}
	r := l.readers.m[c.id()]
	return l.hasRest(c) || r.rest.left() > 0
}

// sendFrames sends what has gathered. What the socket does not take is kept.
func (l *loop) sendFrames() {
	c, out, messages := l.serving, l.reader.Out, l.gathered
	l.reader.Out, l.gathered = out[:0], 0
	defer func() { l.carries = false }()
	if l.failed != admitted {
		return
	}
	if len(out) == 0 { // they have gone out while their stream was being written to
		l.delivered(c, messages)
		return
	}
	if !l.isStopped(c) {
		if l.carries {
			l.counters.writes.Add(1)
		}
		n, _ := l.write(c, out)
		out = out[n:]
	}
	if len(out) == 0 {
		if l.failed == admitted {
			l.delivered(c, messages)
		}
		return
	}
	if !c.flags.is(behind) {
		l.fallBehind(&c.stream, leftover{}, false)
	}
	r := l.readers.m[c.id()]
	if r.rest.bytes = append(r.rest.bytes, out...); len(r.rest.bytes) > maxHeld+heldEach*l.h2Of(c).Streams() {
		l.failed = reasonTalks
	}
	r.messages += messages
}

// recordRoom is how much one record takes, in bytes.
func (l *loop) recordRoom(c *conn) int {
	if c.flags.is(behind) {
		return slowContent
	}
	return tlsrecord.MaxContent
}

// put hands p to the socket of a stream, framed as its protocol wants it, and returns how much
// of it was taken. It is cut when that is less: for want of room in the socket or, in HTTP/2,
// in a window.
func (l *loop) put(s *stream, p []byte) (n int, _ result) {
	if s.isShared() {
		return l.putFrames(s, p)
	}
	return l.write(l.connOf(s), p)
}

// putFrames is put for HTTP/2. Frames are whole, as long as they fit into a record.
func (l *loop) putFrames(s *stream, p []byte) (n int, _ result) {
	entry, c := l.sharedOf(s), l.connOf(s)
	l.gather(c)
	h := l.h2Of(c)
	for n < len(p) && !l.isStopped(c) {
		most := l.recordRoom(c)
		size := min(len(p)-n, h.Room(&entry.Stream), most-h2.HeaderLen)
		if size == 0 {
			break
		}
		if len(l.reader.Out)+h2.HeaderLen+size > most && len(l.reader.Out) > 0 {
			l.sendFrames()
			continue
		}
		l.reader.Out = h.AppendDataHeader(l.reader.Out, &entry.Stream, size)
		l.reader.Out = append(l.reader.Out, p[n:n+size]...)
		n += size
	}
	s.wrote = momentOf(l.now)
	if s.flags.is(behind) {
		l.readers.m[s.id()].pace.take(n, l.now)
	}
	if n < len(p) {
		return n, cut
	}
	return n, sent
}

// takesMore tells whether a stream of HTTP/2 could be written to.
func (l *loop) takesMore(s *stream) bool {
	c := l.connOf(s)
	return !l.isStopped(c) && l.h2Of(c).Room(&l.sharedOf(s).Stream) > 0
}

// putHead puts a response head, which is all of b, in front of what is to be sent: it returns b,
// or what is left of it where the head goes in a frame of its own.
func (l *loop) putHead(s *stream, b []byte) []byte {
	if !s.isShared() {
		return b
	}
	c := l.connOf(s)
	l.gather(c)
	l.block = l.encoder.AppendBlock(l.block[:0], b)
	l.reader.Out = l.h2Of(c).AppendHead(l.reader.Out, &l.sharedOf(s).Stream, l.block, false)
	return b[:0]
}

// finishShared is finish for HTTP/2: there is no lingering, and what a window does not take is
// lost.
func (l *loop) finishShared(s *stream, last []byte, why reason) result {
	entry, c := l.sharedOf(s), l.connOf(s)
	l.gather(c)
	h := l.h2Of(c)
	for len(last) > 0 {
		n := min(len(last), h.Room(&entry.Stream))
		if n == 0 {
			break
		}
		l.reader.Out = h.AppendDataHeader(l.reader.Out, &entry.Stream, n)
		l.reader.Out = append(l.reader.Out, last[:n]...)
		last = last[n:]
	}
	l.reader.Out = h.AppendEnd(l.reader.Out, &entry.Stream)
	l.dropShared(s, why)
	return ended
}

// endShared ends a stream of HTTP/2 that is not told anything, and not its connection.
func (l *loop) endShared(s *stream, why reason) {
	entry, c := l.sharedOf(s), l.connOf(s)
	l.gather(c)
	if isWhole := s.state == stateStream && !s.flags.is(behind); isWhole {
		l.reader.Out = l.h2Of(c).AppendEnd(l.reader.Out, &entry.Stream)
	} else {
		l.reader.Out = l.h2Of(c).AppendReset(l.reader.Out, &entry.Stream, h2.Cancel)
	}
	l.dropShared(s, why)
}

// stepsAtOnce bounds how often streams of one connection catch up between two looks at the
// poller, each by turnBytes at most.
const stepsAtOnce = 4

// catchUpShared brings the streams of a connection of HTTP/2 on that are behind, since its socket
// takes more or windows have opened. It begins where it stopped the last time.
func (l *loop) catchUpShared(c *conn) {
	l.gather(c)
	if l.isStopped(c) {
		return
	}
	h, steps := l.h2Of(c), stepsAtOnce
	from, owed := h.first, false
	if h.turn != 0 { // the streams before it are next
		from, owed, h.turn = h.turn, true, 0
	}
	for s := range l.streamsOf(from) {
		next, did := s.after, cut
		for did == cut && steps > 0 && s.flags.is(behind) && l.takesMore(&s.stream) {
			steps--
			did = l.catchUp(&s.stream)
		}
		if l.isStopped(c) {
			h.turn = next
			break
		}
		if steps == 0 {
			h.turn, owed = link(s.self+1), true
			if did == ended {
				h.turn = next
			}
			break
		}
	}
	l.sendFrames()
	switch {
	case l.isStopped(c):
	case owed && !c.flags.is(behind):
		l.fallBehind(&c.stream, leftover{}, false) // the socket will say that it takes more
	case !owed && c.flags.is(behind):
		l.dropReader(&c.stream)
		l.stopWatching(c)
	}
}
