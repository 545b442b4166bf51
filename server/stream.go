package server

// streamID names a stream on its loop. Below maxTable it is the slot of an HTTP/1.1
// connection, and so its descriptor: such a connection is socket and stream in one.
// From there on it is an entry of loop.shared: a stream of HTTP/2.
type streamID int32

// stream is the state of one event stream, or of the request that may become one: 32 bytes
// without a pointer. It belongs to the loop.
type stream struct {
	self    streamID
	channel int32  // index of its channel in loop.channels, or multiChannel
	cursor  uint64 // the sequence up to which it has everything
	opened  moment // when it began, or before that the connection
	wrote   moment // when something was last written
	place   int32  // its index in the channel's list of subscribers; of a connection with TLS: see certificate
	flags   flags
	state   state
	why     reason // of its connection. Head: why it may not become a stream, if not admitted; lingering: why it will end
}

// multiChannel, in stream.channel, says that the stream is on several channels, which
// loop.multi has.
const multiChannel = -1

func (s *stream) id() streamID { return s.self }

// endStream ends a stream that is not told anything: with HTTP/1.1 its connection. Nothing may
// touch it afterwards.
func (l *loop) endStream(s *stream, why reason) {
	if s.isShared() {
		l.endShared(s, why)
		return
	}
	l.end(l.connOf(s), why)
}
