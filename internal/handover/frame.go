package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	// MaxFDs is how many descriptors a frame has at most: SCM_MAX_FD of Linux.
	MaxFDs = 253
	// MaxPayload is the length of the longest payload, in bytes.
	MaxPayload = 1 << 20
)

// Errors of Send and Receive. After any of them the connection is of no use.
var (
	// ErrDamaged is wrapped by the errors of frames that are not as they were sent.
	ErrDamaged = errors.New("damaged frame")
	// ErrTableFull says that the descriptor table of the receiver has no room: the kernel
	// drops what does not fit.
	ErrTableFull = errors.New("the descriptor table has no room for what came")
	// ErrUnsupported says that descriptors cannot be passed on this system.
	ErrUnsupported = errors.New("this system cannot hand sockets from process to process")
)

// Frame is what Receive returns. The receiver owns the descriptors, which are closed on exec.
type Frame struct {
	Kind    Kind
	Payload []byte // valid until the next Receive
	FDs     []int
}

// Drop closes the descriptors, for which there is no use.
func (f *Frame) Drop() {
	closeAll(f.FDs)
	f.FDs = nil
}

// headerSize is the length of a frame's header, all little-endian:
//
//	0  magic, 2 bytes
//	2  kind
//	3  number of descriptors
//	4  length of the payload, 4 bytes
//	8  CRC-32C of the 8 bytes before and of the payload, 4 bytes
//
// The descriptors come with the first byte.
const headerSize = 12

// magic begins a frame.
const magic = 0x486d // "mH"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is one in its place.
type header [headerSize]byte

// header returns that of a frame.
func headerOf(kind Kind, payload []byte, fds int) (h header) {
	binary.LittleEndian.PutUint16(h[0:], magic)
	h[2], h[3] = byte(kind), byte(fds)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(h[8:], h.sum(payload))
	return h
}

func (h *header) kind() Kind  { return Kind(h[2]) }
func (h *header) fds() int    { return int(h[3]) }
func (h *header) length() int { return int(binary.LittleEndian.Uint32(h[4:])) }

// sum returns the checksum that a frame with this header and payload has to have.
func (h *header) sum(payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(h[:8], castagnoli), castagnoli, payload)
}

// check returns why the header cannot be one, before its payload is read.
func (h *header) check() error {
	switch {
	case binary.LittleEndian.Uint16(h[0:]) != magic:
		return fmt.Errorf("%w: it begins with %x, want %x", ErrDamaged, h[:2], []byte{magic & 0xff, magic >> 8})
	case h.length() > MaxPayload:
		return fmt.Errorf("%w: %s with %d bytes, want at most %d", ErrDamaged, h.kind(), h.length(), MaxPayload)
	case h.fds() > MaxFDs:
		return fmt.Errorf("%w: %s with %d descriptors, want at most %d", ErrDamaged, h.kind(), h.fds(), MaxFDs)
	}
	return nil
}

// checkPayload compares the checksum.
func (h *header) checkPayload(payload []byte) error {
	if got, want := h.sum(payload), binary.LittleEndian.Uint32(h[8:]); got != want {
		return fmt.Errorf("%w: %s of %d bytes has the checksum %08x, want %08x", ErrDamaged, h.kind(), len(payload), got, want)
	}
	return nil
}
