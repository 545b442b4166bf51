package server

import (
	"iter"

	"millrace/internal/h2"
)

// firstShared is the least id of a stream that shares its socket: firstShared and its index
// in loop.shared.
const firstShared = streamID(maxTable)

// sharedStream is a stream of HTTP/2, which shares a socket with others: 56 bytes without a
// pointer.
type sharedStream struct {
	stream
	h2.Stream
	conn          streamID // whose socket it shares
	before, after link     // its neighbours among the streams of that
	unbroken      unbroken // with gzip
}

// isShared tells whether a stream shares its socket.
func (s *stream) isShared() bool { return s.self >= firstShared }

// sharedAt returns the stream with an id, which shares its socket.
func (l *loop) sharedAt(id streamID) *sharedStream { return l.shared.at(int32(id - firstShared)) }

// sharedOf returns what a stream that shares its socket is beside.
func (l *loop) sharedOf(s *stream) *sharedStream { return l.sharedAt(s.self) }

// at returns the stream with an id.
func (l *loop) at(id streamID) *stream {
	if id >= firstShared {
		return &l.sharedAt(id).stream
	}
	return &l.table.at(id).stream
}

// connOf returns the connection of a stream.
func (l *loop) connOf(s *stream) *conn {
	if s.isShared() {
		return l.table.at(l.sharedOf(s).conn)
	}
	return l.table.at(s.self)
}

// openShared makes an entry for a stream that a client has opened. A request comes of it at
// once.
func (l *loop) openShared(c *conn, opened h2.Stream) *stream {
	h := l.h2Of(c)
	id := firstShared + streamID(l.shared.claim())
	s := l.sharedAt(id)
	*s = sharedStream{
		stream: stream{self: id, state: stateHead, opened: momentOf(l.now)},
		Stream: opened, conn: c.id(), after: h.first,
	}
	if h.first != 0 {
		l.sharedAt(h.first.id()).before = link(id + 1)
	}
	h.first = link(id + 1)
	c.flags.set(counted, true)
	return &s.stream
}

// dropShared forgets a stream of HTTP/2: nothing may touch it afterwards. What its client is
// told of that is the caller's.
func (l *loop) dropShared(s *stream, why reason) {
	l.forgetStream(s, why)
	l.counters.closed[why].Add(1)
	entry, c := l.sharedOf(s), l.connOf(s)
	h := l.h2Of(c)
	if h.turn == link(s.self+1) {
		h.turn = entry.after
	}
	if entry.before != 0 {
		l.sharedAt(entry.before.id()).after = entry.after
	} else {
		h.first = entry.after
	}
	if entry.after != 0 {
		l.sharedAt(entry.after.id()).before = entry.before
	}
	l.shared.release(int32(s.self - firstShared))
	if h.first == 0 {
		c.opened = momentOf(l.now)
		l.scheduleBy(c, l.now+idlePatience)
		l.giveRoom()
	}
}

// streamsOf has the streams of a connection of HTTP/2, from a given one on. The present one
// may end.
func (l *loop) streamsOf(from link) iter.Seq[*sharedStream] {
	return func(yield func(*sharedStream) bool) {
		for from != 0 {
			s := l.sharedAt(from.id())
			from = s.after
			if !yield(s) {
				return
			}
		}
	}
}

// openStreams are the streams of one connection as package h2 looks at them.
type openStreams struct {
	loop *loop
	conn *conn
}

// Stream returns the stream with a number, nil if it is not open.
func (o *openStreams) Stream(number uint32) *h2.Stream {
	if s := o.find(number); s != nil {
		return &s.Stream
	}
	return nil
}

func (o *openStreams) find(number uint32) *sharedStream {
	for s := range o.loop.streamsOf(o.loop.h2Of(o.conn).first) {
		if s.ID() == number {
			return s
		}
	}
	return nil
}

// All has all of them.
func (o *openStreams) All() iter.Seq[*h2.Stream] {
	return func(yield func(*h2.Stream) bool) {
		for s := range o.loop.streamsOf(o.loop.h2Of(o.conn).first) {
			if !yield(&s.Stream) {
				return
			}
		}
	}
}
