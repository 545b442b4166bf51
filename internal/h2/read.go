package h2

import (
	"encoding/binary"
	"iter"
	"time"

	"golang.org/x/net/http2/hpack"

	"millrace/httpparse"
)

// Limits bound what clients may ask for.
type Limits struct {
	// Head bounds a request head: MaxBytes as SETTINGS_MAX_HEADER_LIST_SIZE counts it, with
	// 32 bytes a field. Above it the request is refused as in HTTP/1.1.
	Head httpparse.Limits
	// Streams is how many a connection may have open, SETTINGS_MAX_CONCURRENT_STREAMS.
	Streams int
}

// Reader takes in what clients send, one connection at a time: an event loop has one for all.
type Reader struct {
	// Out are frames to be sent to the client that is read, in order. Next appends what the
	// protocol answers by itself, the caller what it answers to requests; the caller sends it
	// when nothing more is to be read, and empties it.
	Out []byte

	limits    Limits
	maxBlock  int // bytes of a header block
	fields    fields
	tableless *hpack.Decoder // of connections that have acknowledged that there is no table
}

// NewReader makes a Reader.
func NewReader(limits Limits) *Reader {
	if limits.Head.MaxBytes <= 0 {
		limits.Head.MaxBytes = httpparse.DefaultMaxBytes
	}
	r := &Reader{limits: limits, maxBlock: max(2*limits.Head.MaxBytes, MaxPayload)}
	r.fields.text = make([]byte, 0, limits.Head.MaxBytes)
	r.fields.limits = limits.Head
	r.tableless = r.newDecoder(0)
	return r
}

// Streams are the open streams of the connection that is read, as the caller keeps them.
type Streams interface {
	// Stream returns the stream of a number, nil if it is not open.
	Stream(id uint32) *Stream
	// All returns the open streams.
	All() iter.Seq[*Stream]
}

// Kind says what an Event is.
type Kind uint8

const (
	// NeedMore says that the rest of the bytes is the beginning of a frame, or of a header
	// block, whose rest is to come.
	NeedMore Kind = iota
	// Opened says that the client asks for something: there is a new stream.
	Opened
	// Refused says that the client wanted to open a stream and may not, for Err. There is
	// nothing to be done, the client is told by Out.
	Refused
	// Closed says that a stream has ended: by its client or, for Err, by us, as the client is
	// told by Out.
	Closed
	// Writable says that the window of a stream, or with the number 0 of all streams, has
	// opened.
	Writable
)

// Event is what has come from a client.
type Event struct {
	Kind Kind
	ID   uint32 // of the stream
	// Stream is that of Opened, to be kept until it is closed.
	Stream Stream
	// Request is that of Opened, valid until the next call of Next.
	Request *httpparse.Request
	// Err says why a stream is Refused or Closed. That of Opened says with what the request is to
	// be answered, as an error of httpparse.Parse would; Request has those of its headers then
	// that were good.
	Err error
}

// Next takes in frames from the beginning of in until there is an event, and returns it and how
// much of in it has taken; in is changed in place. With NeedMore the caller keeps the
// rest until more has come, which is less than one frame or, of a header block, twice
// Limits.Head.MaxBytes, if that is more than a frame, and the headers of its frames. The error is an *Error: the event means
// nothing then, and the connection is to be ended, by Conn.AppendGoAway.
//
// t is the decoder of a connection that has not acknowledged our settings, as Conn.Acknowledged
// tells; it may be nil then. now is any clock that does not go back.
func (r *Reader) Next(c *Conn, t *Table, s Streams, now time.Duration, in []byte) (ev Event, n int, err error) {
	c.budget.fill(now)
	if !c.flags.is(greeted) {
		begun := in[:min(len(in), len(preface))]
		if string(begun) != preface[:len(begun)] {
			return Event{}, 0, &Error{ProtocolError, "no preface"}
		}
		if len(begun) < len(preface) {
			return Event{}, 0, nil
		}
		c.flags |= greeted
		n = len(preface)
	}
	for {
		f, length, err := take(in[n:], r.maxBlock)
		if err != nil || length == 0 {
			return Event{}, n, err
		}
		n += length
		ev, err := r.on(c, t, s, &f)
		if err != nil || ev.Kind != NeedMore {
			return ev, n, err
		}
	}
}

// on takes in one frame.
func (r *Reader) on(c *Conn, t *Table, s Streams, f *frame) (Event, error) {
	if !c.flags.is(settled) && (f.typ != typeSettings || f.has(flagAck)) {
		return Event{}, &Error{ProtocolError, "another frame before the first SETTINGS"}
	}
	switch f.typ {
	case typeData:
		return r.onData(c, s, f)
	case typeHeaders:
		return r.onHeaders(c, t, s, f)
	case typePriority:
		return Event{}, c.onPriority(f)
	case typeRSTStream:
		return c.onReset(s, f)
	case typeSettings:
		return r.onSettings(c, s, f)
	case typePing:
		return Event{}, r.onPing(c, f)
	case typeGoAway:
		return Event{}, c.onGoAway(f)
	case typeWindowUpdate:
		return r.onWindowUpdate(c, s, f)
	case typePushPromise, typeContinuation:
		return Event{}, &Error{ProtocolError, "a PUSH_PROMISE, or a CONTINUATION outside of a header block"}
	}
	return Event{}, c.budget.spend(costFrame) // RFC 9113, 5.5
}

// onPriority takes in what is obsolete, and still has its form (RFC 9113, 6.3).
func (c *Conn) onPriority(f *frame) error {
	switch {
	case f.stream == 0:
		return &Error{ProtocolError, "a PRIORITY of no stream"}
	case len(f.payload) != 5:
		return &Error{FrameSizeError, "a PRIORITY that is not of 5 bytes"}
	case dependsOn(f.payload) == f.stream:
		return &Error{ProtocolError, "a stream that depends on itself"}
	}
	return c.budget.spend(costFrame)
}

// onReset takes in that the client has no more use for a stream (RFC 9113, 6.4).
func (c *Conn) onReset(s Streams, f *frame) (Event, error) {
	switch {
	case f.stream == 0 || f.stream > c.newest:
		return Event{}, &Error{ProtocolError, "a RST_STREAM of no stream"}
	case len(f.payload) != 4:
		return Event{}, &Error{FrameSizeError, "a RST_STREAM that is not of 4 bytes"}
	}
	if c.content == f.stream {
		c.content = 0
	}
	err := c.budget.spend(costReset)
	if s.Stream(f.stream) == nil {
		return Event{}, err
	}
	c.open--
	return Event{Kind: Closed, ID: f.stream}, err
}

// onPing answers a PING (RFC 9113, 6.7). We send none, so an answer is no use.
func (r *Reader) onPing(c *Conn, f *frame) error {
	switch {
	case f.stream != 0:
		return &Error{ProtocolError, "a PING of a stream"}
	case len(f.payload) != 8:
		return &Error{FrameSizeError, "a PING that is not of 8 bytes"}
	case !f.has(flagAck):
		r.Out = appendHeader(r.Out, len(f.payload), typePing, flagAck, 0)
		r.Out = append(r.Out, f.payload...)
	}
	return c.budget.spend(costFrame)
}

// onGoAway takes in that the client opens no more streams (RFC 9113, 6.8): those that are open
// go on, and the client says when they end.
func (c *Conn) onGoAway(f *frame) error {
	switch {
	case f.stream != 0:
		return &Error{ProtocolError, "a GOAWAY of a stream"}
	case len(f.payload) < 8:
		return &Error{FrameSizeError, "a GOAWAY of less than 8 bytes"}
	}
	return c.budget.spend(costFrame)
}

// onWindowUpdate opens a window (RFC 9113, 6.9). For a stream that has ended, it comes late.
func (r *Reader) onWindowUpdate(c *Conn, s Streams, f *frame) (Event, error) {
	if len(f.payload) != 4 {
		return Event{}, &Error{FrameSizeError, "a WINDOW_UPDATE that is not of 4 bytes"}
	}
	by := int64(binary.BigEndian.Uint32(f.payload) & maxWindow)
	if f.stream > c.newest {
		return Event{}, &Error{ProtocolError, "a WINDOW_UPDATE of no stream"}
	}
	if err := c.budget.spend(costFrame); err != nil {
		return Event{}, err
	}
	if f.stream == 0 {
		switch {
		case by == 0:
			return Event{}, &Error{ProtocolError, "a WINDOW_UPDATE by 0"}
		case !grow(&c.window, by):
			return Event{}, &Error{FlowControlError, "a window of more than 2^31-1 bytes"}
		}
		return Event{Kind: Writable}, nil
	}
	stream := s.Stream(f.stream)
	switch {
	case by == 0 && stream == nil:
		return Event{}, &Error{ProtocolError, "a WINDOW_UPDATE by 0"}
	case by == 0:
		return r.fault(c, stream, f.stream, ProtocolError, "a WINDOW_UPDATE by 0")
	case stream == nil:
		return Event{}, nil
	case !grow(&stream.window, by):
		return r.fault(c, stream, f.stream, FlowControlError, "a window of more than 2^31-1 bytes")
	}
	return Event{Kind: Writable, ID: f.stream}, nil
}

// fault ends a stream, s if it was open, for what its client did.
func (r *Reader) fault(c *Conn, s *Stream, id uint32, code ErrCode, text string) (Event, error) {
	r.Out = appendReset(r.Out, id, code)
	c.abandon(id)
	ev := Event{Kind: Refused, ID: id, Err: &Error{code, text}}
	if s != nil {
		c.open--
		ev.Kind = Closed
	}
	return ev, c.budget.spend(costReset)
}
