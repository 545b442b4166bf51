package handover

import (
	"fmt"
	"hash/crc32"
	"slices"
)

const (
	// packed is about how many bytes of records a frame has.
	packed = 64 << 10
	// partSize is the length of a part of a record that is longer than twice of it, and
	// maxParted that of the longest record, in bytes.
	partSize  = 256 << 10
	maxParted = 64 << 20
)

// Packer sends records in frames of one kind, as many in each as have room. A record that is
// too long for that comes in frames of KindPart, which an empty frame of its kind follows.
type Packer struct {
	conn   *Conn
	kind   Kind
	w, one Writer
	fds    []int
	sum    uint32
}

// NewPacker returns a packer that writes records in a version.
func NewPacker(conn *Conn, version int, kind Kind) *Packer {
	return &Packer{conn: conn, kind: kind, w: Writer{Version: version}, one: Writer{Version: version}}
}

// Add sends a record with its descriptors, at the latest with Flush.
func (p *Packer) Add(record Record, fds ...int) error {
	p.one.Reset()
	record.Append(&p.one)
	if p.w.Len()+p.one.Len() > packed || len(p.fds)+len(fds) > MaxFDs {
		if err := p.Flush(); err != nil {
			return err
		}
	}
	p.sum = crc32.Update(p.sum, castagnoli, p.one.Bytes())
	if p.one.Len() <= 2*partSize {
		p.w.Raw(p.one.Bytes())
		p.fds = append(p.fds, fds...)
		return nil
	}
	for part := range slices.Chunk(p.one.Bytes(), partSize) {
		if err := p.conn.Send(KindPart, part); err != nil {
			return err
		}
	}
	return p.conn.Send(p.kind, nil, fds...)
}

// Flush sends what waits.
func (p *Packer) Flush() error {
	if p.w.Len() == 0 {
		return nil
	}
	err := p.conn.Send(p.kind, p.w.Bytes(), p.fds...)
	p.w.Reset()
	p.fds = p.fds[:0]
	return err
}

// Sum returns the CRC-32C of all records, in order.
func (p *Packer) Sum() uint32 { return p.sum }

// Unpacker puts together what a Packer sends. The zero value is ready.
type Unpacker struct{ parts []byte }

// Part takes in the payload of a frame of KindPart.
func (u *Unpacker) Part(payload []byte) error {
	if len(u.parts)+len(payload) > maxParted {
		return fmt.Errorf("%w: a record of more than %d MiB", ErrDamaged, maxParted>>20)
	}
	u.parts = append(u.parts, payload...)
	return nil
}

// Records returns the records of a packer's frame, by its payload.
func (u *Unpacker) Records(payload []byte) ([]byte, error) {
	long := u.parts
	switch u.parts = nil; {
	case long == nil:
		return payload, nil
	case len(payload) > 0:
		return nil, fmt.Errorf("%w: %d bytes of records after parts of one", ErrDamaged, len(payload))
	}
	return long, nil
}
