package h2

import (
	"encoding/binary"
	"errors"
)

// What is known of a connection may be handed to another process, which goes on with it. Once
// the client has acknowledged our settings that is Conn, its Streams, and the bytes that Next
// has left: nothing is in HPACK. A client's encoder has no table then (RFC 7541, 4.2), so the
// decoder of all connections, Reader.tableless, knows nothing between two blocks. Our own blocks
// never use one: Encoder has a table of size 0, and that the client's decoder was told so is a
// flag of Conn. Nor does Reader keep anything of a frame: it takes none before it is whole.

// stateVersion is the first byte of what Conn.AppendState makes. It counts for streams, too.
const stateVersion = 1

const (
	// ConnStateLen is the length of what Conn.AppendState makes, in bytes.
	ConnStateLen = 1 + 5*4 + 3*2 + 2*2 + 1
	// StreamStateLen is the length of what Stream.AppendState makes, in bytes.
	StreamStateLen = 2 * 4
)

// ErrState is the error for bytes that no AppendState has made.
var ErrState = errors.New("no state of HTTP/2")

// AppendState appends all that c is, once it is Acknowledged. Restore makes the same of it, for
// a clock that goes on.
func (c *Conn) AppendState(dst []byte) []byte {
	dst = append(dst, stateVersion)
	for _, v := range [...]uint32{uint32(c.window), uint32(c.initial), c.newest, c.abandoned, c.content} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	for _, v := range [...]uint16{c.left, c.open, c.consumed, uint16(c.budget.left), c.budget.filled} {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return append(dst, byte(c.flags))
}

// Restore sets c to what AppendState has made p of. With an error, an ErrState, it is as before.
func (c *Conn) Restore(p []byte) error {
	if len(p) != ConnStateLen || p[0] != stateVersion {
		return ErrState
	}
	u32 := func(i int) uint32 { return binary.BigEndian.Uint32(p[1+4*i:]) }
	u16 := func(i int) uint16 { return binary.BigEndian.Uint16(p[1+5*4+2*i:]) }
	restored := Conn{
		window: int32(u32(0)), initial: int32(u32(1)), newest: u32(2), abandoned: u32(3), content: u32(4),
		left: u16(0), open: u16(1), consumed: u16(2), budget: budget{left: int16(u16(3)), filled: u16(4)},
		flags: connFlags(p[ConnStateLen-1]),
	}
	const begun = greeted | settled | acknowledged
	switch {
	case restored.flags&begun != begun || restored.flags >= unknownLength<<1:
	case restored.window < 0 || restored.initial < 0 || restored.newest > maxWindow:
	case restored.abandoned > restored.newest || restored.content > restored.newest:
	case restored.budget.left < 0 || restored.budget.left > fullBudget:
	default:
		*c = restored
		return nil
	}
	return ErrState
}

// AppendState appends all that s is.
func (s *Stream) AppendState(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, s.number), uint32(s.window))
}

// RestoreStream sets s to a stream of c, which is restored, that AppendState has made p of. With
// an error, an ErrState, it is as before.
func (c *Conn) RestoreStream(s *Stream, p []byte) error {
	if len(p) != StreamStateLen {
		return ErrState
	}
	restored := Stream{binary.BigEndian.Uint32(p), int32(binary.BigEndian.Uint32(p[4:]))}
	if id := restored.ID(); id%2 == 0 || id > c.newest {
		return ErrState
	}
	*s = restored
	return nil
}
