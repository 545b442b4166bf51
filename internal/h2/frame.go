package h2

import "encoding/binary"

const (
	// MaxPayload is the most that a frame carries, in bytes, in both directions: every peer
	// takes as much, and we ask for no more (RFC 9113, 4.2).
	MaxPayload = 1 << 14
	// HeaderLen is the length of a frame's header, in bytes.
	HeaderLen = 9
)

// preface is what a client begins with (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

type frameType uint8

const (
	typeData         frameType = 0
	typeHeaders      frameType = 1
	typePriority     frameType = 2
	typeRSTStream    frameType = 3
	typeSettings     frameType = 4
	typePushPromise  frameType = 5
	typePing         frameType = 6
	typeGoAway       frameType = 7
	typeWindowUpdate frameType = 8
	typeContinuation frameType = 9
)

// Flags, each of the frames that it is named after.
const (
	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4 // HEADERS, CONTINUATION
	flagPadded     = 0x8 // DATA, HEADERS
	flagPriority   = 0x20
)

// Settings (RFC 9113, 6.5.2, and RFC 9218, 2.1).
const (
	settingTableSize         = 1
	settingEnablePush        = 2
	settingMaxStreams        = 3
	settingInitialWindow     = 4
	settingMaxFrameSize      = 5
	settingMaxHeaderListSize = 6
	settingNoPriorities      = 9
)

// maxWindow is the most that a window may be, in bytes (RFC 9113, 6.9.1), and the highest
// number of a stream.
const maxWindow = 1<<31 - 1

// frame is one frame, or the whole of a header block, whose fragments are joined.
type frame struct {
	typ     frameType
	flags   uint8
	stream  uint32
	payload []byte
	more    int // CONTINUATIONs
}

func (f *frame) has(flag uint8) bool { return f.flags&flag != 0 }

// header is what stands before the payload of a frame.
type header struct {
	length int
	typ    frameType
	flags  uint8
	stream uint32
}

// parseHeader reads the header that b begins with, which has HeaderLen bytes or more.
func parseHeader(b []byte) header {
	return header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		typ:    frameType(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & maxWindow, // the first bit is reserved
	}
}

func appendHeader(dst []byte, length int, typ frameType, flags uint8, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(typ), flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

// unpad takes the padding off the payload of a DATA or HEADERS frame (RFC 9113, 6.1).
func (f *frame) unpad() error {
	if !f.has(flagPadded) {
		return nil
	}
	if len(f.payload) == 0 || int(f.payload[0]) >= len(f.payload) {
		return &Error{ProtocolError, "padding that is longer than its frame"}
	}
	f.payload = f.payload[1 : len(f.payload)-int(f.payload[0])]
	return nil
}

// maxContinuations bounds the frames of one header block, which may have so many bytes:
// clients split a block only where it exceeds MaxPayload.
func maxContinuations(maxBlock int) int { return 16 + maxBlock/2048 }

// take takes the frame that in begins with, and with a HEADERS frame all of its block, which
// may have maxBlock bytes. It returns how long that is: 0 if it has not come as a whole.
func take(in []byte, maxBlock int) (f frame, n int, err error) {
	if len(in) < HeaderLen {
		return f, 0, nil
	}
	h := parseHeader(in)
	switch {
	case h.length > MaxPayload:
		return f, 0, &Error{FrameSizeError, "a frame of more than 16384 bytes"}
	case h.typ == typeHeaders && h.flags&flagEndHeaders == 0:
		return takeBlock(in, h, maxBlock)
	case len(in) < HeaderLen+h.length:
		return f, 0, nil
	}
	f = frame{typ: h.typ, flags: h.flags, stream: h.stream, payload: in[HeaderLen : HeaderLen+h.length]}
	if f.typ == typeHeaders {
		err = f.strip()
	}
	return f, HeaderLen + h.length, err
}

// takeBlock is take of a HEADERS frame after which CONTINUATIONs come. Nothing else may come
// between them (RFC 9113, 6.10), so that is refused as soon as it shows.
func takeBlock(in []byte, first header, maxBlock int) (f frame, n int, err error) {
	more, size, end := 0, first.length, HeaderLen+first.length
	for flags := first.flags; flags&flagEndHeaders == 0; {
		if len(in) < end+HeaderLen {
			return f, 0, nil
		}
		h := parseHeader(in[end:])
		more, size = more+1, size+h.length
		switch {
		case h.length > MaxPayload:
			return f, 0, &Error{FrameSizeError, "a frame of more than 16384 bytes"}
		case h.typ != typeContinuation || h.stream != first.stream:
			return f, 0, &Error{ProtocolError, "another frame within a header block"}
		case size > maxBlock || more > maxContinuations(maxBlock):
			return f, 0, &Error{EnhanceYourCalm, "a header block that is too long, or of too many frames"}
		}
		flags, end = h.flags, end+HeaderLen+h.length
	}
	if len(in) < end {
		return f, 0, nil
	}
	f = frame{first.typ, first.flags, first.stream, in[HeaderLen : HeaderLen+first.length], more}
	if err := f.strip(); err != nil {
		return f, end, err
	}
	for rest := in[HeaderLen+first.length : end]; len(rest) > 0; { // joined in place
		length := parseHeader(rest).length
		f.payload = append(f.payload, rest[HeaderLen:HeaderLen+length]...)
		rest = rest[HeaderLen+length:]
	}
	return f, end, nil
}

// strip takes padding and priority off the payload of a HEADERS frame (RFC 9113, 6.2), so that
// a fragment of a header block is left.
func (f *frame) strip() error {
	if err := f.unpad(); err != nil {
		return err
	}
	if !f.has(flagPriority) {
		return nil
	}
	if len(f.payload) < 5 {
		return &Error{FrameSizeError, "a HEADERS frame that is too short for its priority"}
	}
	if dependsOn(f.payload) == f.stream {
		return &Error{ProtocolError, "a stream that depends on itself"}
	}
	f.payload = f.payload[5:]
	return nil
}

// dependsOn is the stream that a priority names.
func dependsOn(priority []byte) uint32 { return binary.BigEndian.Uint32(priority) & maxWindow }
