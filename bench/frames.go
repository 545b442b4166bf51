package bench

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// frames is the HTTP/2 of one event loop's connections (RFC 9113), whose streams are all opened
// as soon as the connection is. All of it belongs to the loop.
type frames struct {
	conns   []frameConn      // by descriptor
	parts   map[int32][]byte // the beginnings of frames, by descriptor
	good    []byte           // a block of header fields that was found good: most are equal to it
	opening []byte           // what a connection begins with, and then a request for each stream
	request int              // length of a request
	out     []byte
}

// frameConn is the state of one connection.
type frameConn struct {
	left  uint32 // bytes of the data under way that are to come
	place uint32 // of their stream in its connection
	taken uint32 // bytes of the connection's window that have not been given back
}

// Types and flags of frames, and settings.
const (
	frameData, frameHeaders, frameReset, frameSettings      = 0, 1, 3, 4
	framePush, framePing, frameGoAway, frameWindowUpdate    = 5, 6, 7, 8
	flagEndStream, flagAck, flagEndHeaders, flagPadded      = 1, 1, 4, 8
	flagPriority                                            = 0x20
	settingTableSize, settingEnablePush, settingFirstWindow = 1, 2, 4
)

const (
	frameHeader = 9
	maxFrame    = 1 << 14 // payload of a frame, unless we allow more
	// The windows are those of Chromium, in bytes; half of one is given back at a time.
	streamWindow = 6 << 20
	connWindow   = 15 << 20
	usualWindow  = 1<<16 - 1 // of a connection, before it is told otherwise
)

// clientPreface is what a client says first (RFC 9113, 3.4).
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func newFrames(target, host string, streams int) *frames {
	f := &frames{parts: make(map[int32][]byte)}
	f.opening = append(f.opening, clientPreface...)
	f.opening = appendFrame(f.opening, frameSettings, 0, 0, 3*6)
	for _, setting := range [][2]uint32{{settingTableSize, 0}, {settingEnablePush, 0}, {settingFirstWindow, streamWindow}} {
		f.opening = binary.BigEndian.AppendUint16(f.opening, uint16(setting[0]))
		f.opening = binary.BigEndian.AppendUint32(f.opening, setting[1])
	}
	f.opening = appendWindowUpdate(f.opening, 0, connWindow-usualWindow)
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSizeLimit(0)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", target}, {"accept", "text/event-stream"}} {
		e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // to memory: no error
	}
	f.request = frameHeader + block.Len()
	for i := range streams {
		f.opening = appendFrame(f.opening, frameHeaders, flagEndStream|flagEndHeaders, streamOf(i), block.Len())
		f.opening = append(f.opening, block.String()...)
	}
	return f
}

// streamOf is the number of the stream at a place of its connection.
func streamOf(place int) uint32 { return uint32(2*place + 1) }

// begin returns what a new connection sends for so many of the streams that it may have.
func (f *frames) begin(fd int32, streams, most int) []byte {
	if missing := int(fd) + 1 - len(f.conns); missing > 0 {
		f.conns = append(f.conns, make([]frameConn, missing)...)
	}
	f.conns[fd] = frameConn{}
	return f.opening[:len(f.opening)-(most-streams)*f.request]
}

func (f *frames) forget(fd int32) { delete(f.parts, fd) }

// takeFrames takes in what has come on a connection of HTTP/2.
func (c *client) takeFrames(fd int32, p []byte) error {
	f := c.frames
	number := c.conns[fd].number
	if part := f.parts[fd]; part != nil {
		delete(f.parts, fd)
		p = append(part, p...)
	}
	f.out = f.out[:0]
	for len(p) > 0 {
		if h := &f.conns[fd]; h.left > 0 {
			n := min(int(h.left), len(p))
			h.left -= uint32(n)
			if err := c.check(&c.streamsOf(fd)[h.place], p[:n]); err != nil {
				return err
			}
			p = p[n:]
			continue
		}
		frame, rest, err := nextFrame(p)
		if err != nil {
			return err
		}
		if frame.payload == nil {
			f.parts[fd] = append([]byte(nil), p...)
			break
		}
		p = rest
		if err := c.takeFrame(fd, frame); err != nil {
			return err
		}
		if !c.isStill(fd, number) {
			return nil // what it got is nobody's
		}
	}
	if len(f.out) == 0 {
		return nil
	}
	return c.secure.write(fd, f.out)
}

// frame is one frame; of data its payload may be the beginning.
type frame struct {
	kind, flags byte
	stream      uint32
	length      int
	payload     []byte // not nil
}

// nextFrame returns the frame at the beginning of p and what is behind it; one without payload
// if more has to come. Data need not be whole.
func nextFrame(p []byte) (f frame, rest []byte, err error) {
	if len(p) < frameHeader {
		return frame{}, p, nil
	}
	f = frame{kind: p[3], flags: p[4], stream: binary.BigEndian.Uint32(p[5:]) &^ (1 << 31), length: int(p[0])<<16 | int(p[1])<<8 | int(p[2])}
	if f.length > maxFrame {
		return frame{}, p, fmt.Errorf("%w: a frame of %d bytes, want at most %d", ErrGarbled, f.length, maxFrame)
	}
	body := p[frameHeader:]
	if f.kind == frameData && f.flags&flagPadded == 0 {
		f.payload = body[:0]
		return f, body, nil
	}
	if len(body) < f.length {
		return frame{}, p, nil
	}
	f.payload = body[:f.length:f.length]
	return f, body[f.length:], nil
}

// takeFrame takes in one frame. What it is answered with is appended to frames.out.
func (c *client) takeFrame(fd int32, g frame) error {
	f := c.frames
	switch g.kind {
	case frameData:
		return c.takeData(fd, g)
	case frameHeaders:
		return c.takeHead(fd, g)
	case frameSettings:
		if g.flags&flagAck == 0 {
			f.out = appendFrame(f.out, frameSettings, flagAck, 0, 0)
		}
	case framePing:
		if g.flags&flagAck == 0 {
			f.out = append(appendFrame(f.out, framePing, flagAck, 0, g.length), g.payload...)
		}
	case frameReset:
		return fmt.Errorf("%w: RST_STREAM of stream %d with code %d", ErrEnded, g.stream, codeOf(g.payload, 0))
	case frameGoAway:
		return fmt.Errorf("%w: GOAWAY with code %d", ErrEnded, codeOf(g.payload, 4))
	case framePush:
		return fmt.Errorf("%w: PUSH_PROMISE, which was forbidden", ErrGarbled)
	}
	return nil // WINDOW_UPDATE, and whatever is unknown
}

// placeOf returns the place of a stream in its connection.
func (c *client) placeOf(fd int32, g frame) (int, error) {
	place := int(g.stream-1) / 2
	if g.stream%2 == 0 || place >= int(c.conns[fd].streams) {
		return 0, fmt.Errorf("%w: a frame of type %d on stream %d", ErrGarbled, g.kind, g.stream)
	}
	return place, nil
}

// takeHead takes in a response head.
func (c *client) takeHead(fd int32, g frame) error {
	place, err := c.placeOf(fd, g)
	if err != nil {
		return err
	}
	s := &c.streamsOf(fd)[place]
	block := unpad(g)
	if g.flags&flagPriority != 0 && len(block) >= 5 {
		block = block[5:]
	}
	switch {
	case s.answered:
		return fmt.Errorf("%w: a second head on stream %d", ErrEnded, g.stream)
	case g.flags&flagEndHeaders == 0:
		return fmt.Errorf("%w: a response head of more than %d bytes", ErrRefused, maxFrame)
	case string(block) != string(c.frames.good):
		if err := checkBlock(block); err != nil {
			return err
		}
		c.frames.good = append(c.frames.good[:0], block...)
	}
	if g.flags&flagEndStream != 0 {
		return fmt.Errorf("%w: no body on stream %d", ErrRefused, g.stream)
	}
	c.answered(fd, s)
	return nil
}

// takeData begins to take in data, and gives windows back.
func (c *client) takeData(fd int32, g frame) error {
	place, err := c.placeOf(fd, g)
	if err != nil {
		return err
	}
	f := c.frames
	h, s := &f.conns[fd], &c.streamsOf(fd)[place]
	switch {
	case !s.answered:
		return fmt.Errorf("%w: data before the head on stream %d", ErrGarbled, g.stream)
	case g.flags&flagEndStream != 0:
		return fmt.Errorf("%w: END_STREAM on stream %d", ErrEnded, g.stream)
	}
	if h.taken += uint32(g.length); h.taken >= connWindow/2 {
		f.out = appendWindowUpdate(f.out, 0, h.taken)
		h.taken = 0
	}
	if s.taken += uint32(g.length); s.taken >= streamWindow/2 {
		f.out = appendWindowUpdate(f.out, g.stream, s.taken)
		s.taken = 0
	}
	if g.flags&flagPadded != 0 {
		return c.check(s, unpad(g))
	}
	h.left, h.place = uint32(g.length), uint32(place)
	return nil
}

// unpad returns the payload of a whole frame without its padding.
func unpad(g frame) []byte {
	p := g.payload
	if g.flags&flagPadded == 0 || len(p) == 0 {
		return p
	}
	return p[1:max(1, len(p)-int(p[0]))]
}

// checkBlock tells why a block of header fields is not the head of an event stream.
func checkBlock(block []byte) error {
	var status, media string
	d := hpack.NewDecoder(0, func(field hpack.HeaderField) {
		switch field.Name {
		case ":status":
			status = field.Value
		case "content-type":
			media, _, _ = strings.Cut(field.Value, ";")
		}
	})
	_, err := d.Write(block)
	if err == nil {
		err = d.Close()
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: a response head: %w", ErrGarbled, err)
	case status != "200":
		return fmt.Errorf("%w: status %s", ErrRefused, status)
	case !strings.EqualFold(strings.TrimSpace(media), "text/event-stream"):
		return fmt.Errorf("%w: Content-Type %q", ErrRefused, media)
	}
	return nil
}

// codeOf returns the code of an error that stands in a payload.
func codeOf(payload []byte, at int) uint32 {
	if len(payload) < at+4 {
		return 0
	}
	return binary.BigEndian.Uint32(payload[at:])
}

// appendFrame appends the header of a frame.
func appendFrame(dst []byte, kind, flags byte, stream uint32, length int) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

func appendWindowUpdate(dst []byte, stream, by uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(dst, frameWindowUpdate, 0, stream, 4), by)
}
