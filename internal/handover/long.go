package handover

import (
	"encoding/binary"
	"fmt"
)

const (
	// maxLong bounds a record of several frames, in bytes, so that a damaged length takes no
	// memory.
	maxLong = 1 << 30
	// longPart is how much of it a frame has.
	longPart = 256 << 10
	// longHeader is the length of what the first frame begins with: the length of the record
	// and the number of descriptors, 4 bytes each.
	longHeader = 8
)

// SendLong sends a record that may be longer than a frame, with any number of descriptors,
// in as many frames of a kind as it takes. No other frames of that kind may come between.
func SendLong(version int, record Record, kind Kind, fds []int, send func(kind Kind, payload []byte, fds ...int) error) error {
	w := Writer{Version: version}
	w.U32(0)
	w.U32(uint32(len(fds)))
	record.Append(&w)
	data := w.Bytes()
	if len(data) > maxLong {
		return fmt.Errorf("send %s: a record of %d bytes, want at most %d", kind, len(data), maxLong)
	}
	binary.LittleEndian.PutUint32(data, uint32(len(data)-longHeader))
	for first := true; first || len(data) > 0 || len(fds) > 0; first = false {
		part, rights := data[:min(len(data), longPart)], fds[:min(len(fds), MaxFDs)]
		if err := send(kind, part, rights...); err != nil {
			return err
		}
		data, fds = data[len(part):], fds[len(rights):]
	}
	clear(w.Bytes())
	return nil
}

// Long gathers the frames of SendLong. The zero value is ready, and so it is after a record.
type Long struct {
	data      []byte
	fds       []int
	size, fdn int // that there will be; size is 0 before the first frame
}

// Add takes a frame, and its descriptors. It returns true when the record is complete.
func (l *Long) Add(f Frame) (complete bool, err error) {
	l.fds = append(l.fds, f.FDs...)
	payload := f.Payload
	if l.size == 0 {
		r := NewReader(Oldest, payload)
		size, fdn := r.U32(), r.U32()
		if err := r.Err(); err != nil || size == 0 || size > maxLong {
			return false, fmt.Errorf("%w: %s of %d bytes, want 1 to %d", ErrDamaged, f.Kind, size, maxLong)
		}
		l.size, l.fdn = int(size), int(fdn)
		payload = payload[longHeader:]
	}
	l.data = append(l.data, payload...)
	if len(l.data) > l.size || len(l.fds) > l.fdn {
		return false, fmt.Errorf("%w: %s of %d bytes and %d descriptors, want %d and %d", ErrDamaged, f.Kind, len(l.data), len(l.fds), l.size, l.fdn)
	}
	return len(l.data) == l.size && len(l.fds) == l.fdn, nil
}

// Take parses the record, and returns it with its descriptors, which are the caller's.
func (l *Long) Take(version int, record Record) (fds []int, err error) {
	data, fds := l.data, l.fds
	*l = Long{}
	return fds, Decode(version, data, record)
}

// Close closes the descriptors that have come, if the record was not taken.
func (l *Long) Close() {
	closeAll(l.fds)
	*l = Long{}
}
