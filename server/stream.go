package server

// streamID names a stream on its loop. Below maxTable it is the slot of an HTTP/1.1
// connection, and so its descriptor: such a connection is socket and stream in one.
// Ids from there on are for streams that share a socket; there are none yet.
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

// at returns the stream with an id.
func (l *loop) at(id streamID) *stream { return &l.table.at(id).stream }

// connOf returns the connection of a stream.
func (l *loop) connOf(s *stream) *conn { return l.table.at(s.self) }

// endStream ends a stream: of HTTP/1.1 with its connection. Nothing may touch it afterwards.
func (l *loop) endStream(s *stream, why reason) { l.end(l.connOf(s), why) }
