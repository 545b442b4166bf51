package h2

import "encoding/binary"

// AppendHead appends the head of an answer, a header block that an Encoder has made, in a HEADERS
// frame, and in CONTINUATIONs if it is long. With end there is no content: the stream has
// ended then, as after AppendEnd.
func (c *Conn) AppendHead(dst []byte, s *Stream, block []byte, end bool) []byte {
	prefix := ""
	if !c.flags.is(tableTold) { // RFC 7541, 4.2 and 6.3: a table of size 0
		c.flags |= tableTold
		prefix = "\x20"
	}
	flags := uint8(0)
	if end {
		flags |= flagEndStream
	}
	typ, n := typeHeaders, min(len(block), MaxPayload-len(prefix))
	for {
		if n == len(block) {
			flags |= flagEndHeaders
		}
		dst = appendHeader(dst, len(prefix)+n, typ, flags, s.ID())
		dst = append(dst, prefix...)
		dst = append(dst, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			break
		}
		typ, flags, prefix, n = typeContinuation, 0, "", min(len(block), MaxPayload)
	}
	if end {
		dst = c.appendEnded(dst, s)
	}
	return dst
}

// Room returns how many bytes of content may be sent next in one DATA frame: what the windows
// of the stream and of its connection allow, and 0 if nothing may be.
func (c *Conn) Room(s *Stream) int { return min(c.Window(s), MaxPayload) }

// Window returns how many bytes of content may be sent on a stream, in however many frames.
func (c *Conn) Window(s *Stream) int { return int(max(0, min(c.window, s.window))) }

// AppendDataHeader appends what stands before n bytes of content, Room at most, which the caller
// appends, and takes them off the windows.
func (c *Conn) AppendDataHeader(dst []byte, s *Stream, n int) []byte {
	c.window -= int32(n)
	s.window -= int32(n)
	c.budget.earn(perData)
	return appendHeader(dst, n, typeData, 0, s.ID())
}

// AppendEnd appends the end of a stream after its content, for which no window is needed. The
// stream has ended then, whatever its client still sends: the caller forgets it.
func (c *Conn) AppendEnd(dst []byte, s *Stream) []byte {
	dst = appendHeader(dst, 0, typeData, flagEndStream, s.ID())
	return c.appendEnded(dst, s)
}

// appendEnded ends a stream that our side has ended.
func (c *Conn) appendEnded(dst []byte, s *Stream) []byte {
	if c.end(s) {
		return dst
	}
	return appendReset(dst, s.ID(), NoError) // RFC 9113, 8.1
}

// AppendReset appends that a stream ends here and now. The caller forgets it.
func (c *Conn) AppendReset(dst []byte, s *Stream, code ErrCode) []byte {
	c.open--
	c.abandon(s.ID())
	return appendReset(dst, s.ID(), code)
}

// AppendGoAway appends that the connection takes no more streams, for err if that is an *Error,
// and otherwise because the server wants to have it so: streams that are open go on then.
func (c *Conn) AppendGoAway(dst []byte, err error) []byte {
	c.flags |= goneAway
	code, text := NoError, ""
	if e, ok := err.(*Error); ok {
		code, text = e.Code, e.Text
	}
	dst = appendHeader(dst, 8+len(text), typeGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, c.newest)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, text...)
}

func appendReset(dst []byte, stream uint32, code ErrCode) []byte {
	dst = appendHeader(dst, 4, typeRSTStream, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendWindowUpdate(dst []byte, stream, by uint32) []byte {
	dst = appendHeader(dst, 4, typeWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, by)
}
