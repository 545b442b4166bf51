package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

// Errors of records.
var (
	// ErrShort says that a record ends before all of it has come.
	ErrShort = errors.New("the record is too short")
	// ErrExtra says that a record has something that this binary does not know, and without
	// which it cannot serve.
	ErrExtra = errors.New("unknown extra")
)

// Record is a value that travels as the payload of a frame, or as a part of it.
type Record interface {
	// Append writes the record in the writer's version.
	Append(w *Writer)
	// Parse reads what Append of any version from Oldest on has written. The receiver is
	// zero before. Errors stay with the reader.
	Parse(r *Reader)
}

// Encode returns the payload that has the record.
func Encode(version int, record Record) []byte {
	w := Writer{Version: version}
	record.Append(&w)
	return w.Bytes()
}

// Decode parses a payload that has the record and nothing else. Slices of bytes in the record
// may be parts of the payload.
func Decode(version int, payload []byte, record Record) error {
	r := NewReader(version, payload)
	record.Parse(r)
	if r.err == nil && len(r.data) > 0 {
		r.Fail(fmt.Errorf("%d bytes after the record", len(r.data)))
	}
	return r.err
}

// Writer gathers a payload. All numbers are little-endian. The zero value is not usable: its
// Version is missing.
type Writer struct {
	Version int // of the record that is written
	data    []byte
}

// Bytes returns what was written since the last Reset.
func (w *Writer) Bytes() []byte { return w.data }

// Len returns the number of bytes written since the last Reset.
func (w *Writer) Len() int { return len(w.data) }

// Reset empties the writer and keeps its memory.
func (w *Writer) Reset() { w.data = w.data[:0] }

// Grow makes room for n more bytes, so that what is written next is nowhere but there.
func (w *Writer) Grow(n int) { w.data = slices.Grow(w.data, n) }

// Wipe is Reset of a writer that has keys: it clears them.
func (w *Writer) Wipe() {
	clear(w.data)
	w.Reset()
}

func (w *Writer) U8(v uint8)   { w.data = append(w.data, v) }
func (w *Writer) U16(v uint16) { w.data = binary.LittleEndian.AppendUint16(w.data, v) }
func (w *Writer) U32(v uint32) { w.data = binary.LittleEndian.AppendUint32(w.data, v) }
func (w *Writer) U64(v uint64) { w.data = binary.LittleEndian.AppendUint64(w.data, v) }
func (w *Writer) I32(v int32)  { w.U32(uint32(v)) }
func (w *Writer) I64(v int64)  { w.U64(uint64(v)) }

// F64 writes a floating-point number.
func (w *Writer) F64(v float64) { w.U64(math.Float64bits(v)) }

// Bool writes one byte.
func (w *Writer) Bool(v bool) {
	if v {
		w.U8(1)
	} else {
		w.U8(0)
	}
}

// Raw writes bytes as they are, for a reader that knows their number.
func (w *Writer) Raw(b []byte) { w.data = append(w.data, b...) }

// Sized writes the length of b and b.
func (w *Writer) Sized(b []byte) {
	w.U32(uint32(len(b)))
	w.data = append(w.data, b...)
}

// String writes the length of s and s.
func (w *Writer) String(s string) {
	w.U32(uint32(len(s)))
	w.data = append(w.data, s...)
}

// Pad fills a fixed record, which began when Len was start, with zeros up to its size. It
// panics if the record is longer.
func (w *Writer) Pad(start, size int) {
	if len(w.data) > start+size {
		panic(fmt.Sprintf("handover: a fixed record of %d bytes, want at most %d", len(w.data)-start, size))
	}
	for len(w.data) < start+size {
		w.data = append(w.data, 0)
	}
}

// Tag names an extra. Optional has the rule.
type Tag uint8

const (
	// noExtra ends a list of extras.
	noExtra Tag = 0
	// Optional is the first tag that a reader which does not know it may ignore.
	Optional Tag = 0x80
)

// Extra writes one of a list of extras: those of a record that only some have.
func (w *Writer) Extra(tag Tag, body []byte) {
	w.U8(uint8(tag))
	w.Sized(body)
}

// ExtraRecord is Extra for a record.
func (w *Writer) ExtraRecord(tag Tag, body Record) {
	w.U8(uint8(tag))
	start := len(w.data)
	w.U32(0)
	body.Append(w)
	binary.LittleEndian.PutUint32(w.data[start:], uint32(len(w.data)-start-4))
}

// EndExtras ends a list of extras, which may be empty.
func (w *Writer) EndExtras() { w.U8(uint8(noExtra)) }

// Reader takes a payload apart. After an error all that it returns is zero, so that Parse
// need not look at each step.
type Reader struct {
	Version int // of the record that is read
	data    []byte
	fixed   bool // a fixed record: what its writer did not know is zero
	err     error
}

// NewReader returns a reader of a payload.
func NewReader(version int, payload []byte) *Reader { return &Reader{Version: version, data: payload} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Fail makes err the error of the reader, unless it has one, and ends it.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

// Len returns the number of bytes that are left.
func (r *Reader) Len() int { return len(r.data) }

// zeros are what a fixed record lacks.
var zeros [8]byte

// take returns the next n bytes, at most 8, or zeros.
func (r *Reader) take(n int) []byte {
	if len(r.data) < n {
		if !r.fixed {
			r.Fail(ErrShort)
		}
		r.data = nil
		return zeros[:n]
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *Reader) U8() uint8   { return r.take(1)[0] }
func (r *Reader) U16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *Reader) U32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *Reader) U64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *Reader) I32() int32  { return int32(r.U32()) }
func (r *Reader) I64() int64  { return int64(r.U64()) }

// F64 reads a floating-point number.
func (r *Reader) F64() float64 { return math.Float64frombits(r.U64()) }

// Bool reads one byte.
func (r *Reader) Bool() bool { return r.U8() != 0 }

// Raw returns the next n bytes, a part of the payload.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || len(r.data) < n {
		r.Fail(ErrShort)
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

// Sized returns bytes that Writer.Sized has written, a part of the payload.
func (r *Reader) Sized() []byte { return r.Raw(int(r.U32())) }

// String returns a copy of what Writer.String has written.
func (r *Reader) String() string { return string(r.Sized()) }

// Count returns a number of elements that follow, each of at least size bytes. So memory for
// them may be taken at once.
func (r *Reader) Count(size int) int {
	n := int(r.U32())
	if n > len(r.data)/size {
		r.Fail(fmt.Errorf("%w: %d elements of %d bytes or more in %d bytes", ErrShort, n, size, len(r.data)))
		return 0
	}
	return n
}

// appendList appends the number of elements, and each by one.
func appendList[T any](w *Writer, list []T, one func(*T)) {
	w.U32(uint32(len(list)))
	for i := range list {
		one(&list[i])
	}
}

// parseList returns what appendList has written, each element of least bytes or more read by
// one; nil for none.
func parseList[T any](r *Reader, least int, one func(*T)) (list []T) {
	if n := r.Count(least); n > 0 {
		list = make([]T, n)
	}
	for i := range list {
		one(&list[i])
	}
	return list
}

// Strings appends a list of texts.
func (w *Writer) Strings(list []string) { appendList(w, list, func(s *string) { w.String(*s) }) }

// Strings returns a copy of what Writer.Strings has written.
func (r *Reader) Strings() []string { return parseList(r, 4, func(s *string) { *s = r.String() }) }

// Fixed returns a reader of the next size bytes, a fixed record of which the first least bytes
// have to be there. It skips what its caller does not read, and returns zero for what the
// sender did not know. It has no errors of its own.
func (r *Reader) Fixed(size, least int) Reader {
	if r.err == nil && size < least {
		r.Fail(fmt.Errorf("%w: fixed records of %d bytes, want %d or more", ErrShort, size, least))
	}
	return Reader{Version: r.Version, data: r.Raw(size), fixed: true}
}

// Extras returns the extras of a list, with a reader of each. A reader's errors become those
// of r.
func (r *Reader) Extras() iter.Seq2[Tag, *Reader] {
	return func(yield func(Tag, *Reader) bool) {
		for r.err == nil {
			tag := Tag(r.U8())
			if tag == noExtra {
				return // the end of the list, or an error
			}
			body := Reader{Version: r.Version, data: r.Sized()}
			if r.err != nil {
				return
			}
			more := yield(tag, &body)
			if body.err != nil {
				r.Fail(fmt.Errorf("extra %#02x: %w", uint8(tag), body.err))
			}
			if !more {
				return
			}
		}
	}
}

// Unknown is what a parser calls for a tag that it does not know, on the reader of that
// extra: it is an error if the tag is below Optional.
func (r *Reader) Unknown(tag Tag) {
	if tag < Optional {
		r.Fail(ErrExtra)
	}
}

// NoExtras reads the extras of a record that has none so far.
func (r *Reader) NoExtras() {
	for tag, body := range r.Extras() {
		body.Unknown(tag)
	}
}
