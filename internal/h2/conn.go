package h2

import "time"

// Conn is the state of one connection. It has no pointers, and 32 bytes. Open makes one.
//
// Of what clients send as content we count that of one stream, the newest of those that
// their client has not ended: it may have been answered, and ended by us, already. Content of
// others is bounded by the budget alone: nothing is kept of any.
type Conn struct {
	window    int32  // bytes of content that may be sent on all streams together
	initial   int32  // the window of a new stream
	newest    uint32 // the highest stream that the client has opened
	abandoned uint32 // the highest stream that ended before its client had ended it: what still comes of it, and of those below, is ignored
	content   uint32 // the stream whose content is counted; 0 for none
	left      uint16 // bytes of that to come, or at most to come where its length is unknown
	open      uint16 // streams
	consumed  uint16 // bytes of DATA that have come and have not been given back
	budget    budget
	flags     connFlags
}

type connFlags uint8

const (
	greeted       connFlags = 1 << iota // the client's preface has come
	settled                             // so have its first settings
	acknowledged                        // the client has acknowledged ours
	goneAway                            // a GOAWAY has been sent
	tableTold                           // the client has been told that our header blocks use no table
	unknownLength                       // no length of Conn.content was announced
)

func (f connFlags) is(flag connFlags) bool { return f&flag != 0 }

// initialWindow is that of connections and streams until something else is said (RFC 9113,
// 6.9.2). We leave it so for clients: none has content for us.
const initialWindow = 1<<16 - 1

// Open makes c a connection whose preface is to come. What is to be sent first is
// Reader.AppendSettings.
func (c *Conn) Open(now time.Duration) {
	*c = Conn{window: initialWindow, initial: initialWindow, budget: newBudget(now)}
}

// Streams returns how many streams are open.
func (c *Conn) Streams() int { return int(c.open) }

// Acknowledged tells whether the client has acknowledged our settings, so that Next needs no
// Table of its own any more.
func (c *Conn) Acknowledged() bool { return c.flags.is(acknowledged) }

// Stream is the state of an open stream: 8 bytes without pointers. Next makes it.
type Stream struct {
	number uint32 // and clientOpen
	window int32  // bytes of content that may be sent; negative after a change of settings
}

// clientOpen, in Stream.number, says that the client has not ended the stream.
const clientOpen = 1 << 31

// ID returns the number of the stream on its connection.
func (s *Stream) ID() uint32 { return s.number &^ clientOpen }

// grow adds to a window, unless that is more than one may be.
func grow(window *int32, by int64) bool {
	grown := int64(*window) + by
	if grown > maxWindow {
		return false
	}
	*window = int32(grown)
	return true
}

// end takes a stream that we end out of the count. It returns false if the client is to be
// told that nothing more is wanted, because it has not ended and its content is not counted.
func (c *Conn) end(s *Stream) (quiet bool) {
	c.open--
	if s.number&clientOpen == 0 || c.content == s.ID() {
		return true
	}
	c.abandon(s.ID())
	return false
}

// abandon has ignored what still comes of a stream.
func (c *Conn) abandon(id uint32) {
	c.abandoned = max(c.abandoned, id)
	if c.content == id {
		c.content = 0
	}
}

// expects tells whether a client may go on with a stream that it has opened, s if we have not
// ended it: it may until it has ended it itself.
func (c *Conn) expects(id uint32, s *Stream) bool {
	if s != nil {
		return s.number&clientOpen != 0
	}
	return id == c.content || id <= c.abandoned
}
