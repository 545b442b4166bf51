package handover

import (
	"errors"
	"math"
	"reflect"
	"testing"
)

// all has a value of each primitive.
type all struct {
	u8       uint8
	u16      uint16
	u32      uint32
	u64      uint64
	i32      int32
	i64      int64
	f64      float64
	yes, no  bool
	raw      string
	sized, s string
}

func (a *all) Append(w *Writer) {
	w.U8(a.u8)
	w.U16(a.u16)
	w.U32(a.u32)
	w.U64(a.u64)
	w.I32(a.i32)
	w.I64(a.i64)
	w.F64(a.f64)
	w.Bool(a.yes)
	w.Bool(a.no)
	w.Raw([]byte(a.raw))
	w.Sized([]byte(a.sized))
	w.String(a.s)
}

func (a *all) Parse(r *Reader) {
	a.u8, a.u16, a.u32, a.u64 = r.U8(), r.U16(), r.U32(), r.U64()
	a.i32, a.i64, a.f64 = r.I32(), r.I64(), r.F64()
	a.yes, a.no = r.Bool(), r.Bool()
	a.raw, a.sized, a.s = string(r.Raw(3)), string(r.Sized()), r.String()
}

func TestPrimitives(t *testing.T) {
	want := all{255, 65535, math.MaxUint32, math.MaxUint64, -1, math.MinInt64, -0.5, true, false, "raw", "sized", ""}
	payload := Encode(Version, &want)
	var got all
	if err := Decode(Version, payload, &got); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for n := range payload {
		if err := Decode(Version, payload[:n], new(all)); !errors.Is(err, ErrShort) {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(payload), err, ErrShort)
		}
	}
	if err := Decode(Version, append(payload, 0), new(all)); err == nil {
		t.Error("a byte after the record is no error")
	}
}

// fixed is a record of 8 bytes, as an older and a newer binary know it: of 4 and of 12.
type fixed struct{ a, b, c uint32 }

func appendFixed(w *Writer, f fixed, size int) {
	start := w.Len()
	w.U32(f.a)
	if size >= 8 {
		w.U32(f.b)
	}
	if size >= 12 {
		w.U32(f.c)
	}
	w.Pad(start, size)
}

// Ensure that a reader skips what a newer writer has at the end of a fixed record, and finds
// zeros where an older one has nothing.
func TestFixedRecords(t *testing.T) {
	for _, test := range []struct {
		size int
		want fixed
		err  error
	}{
		{2, fixed{}, ErrShort}, {4, fixed{1, 0, 0}, nil}, {8, fixed{1, 2, 0}, nil}, {12, fixed{1, 2, 3}, nil}, {20, fixed{1, 2, 3}, nil},
	} {
		w := Writer{Version: Version}
		if test.size >= 4 {
			appendFixed(&w, fixed{1, 2, 3}, test.size)
		} else {
			w.U16(1)
		}
		w.U8(77)
		r := NewReader(Version, w.Bytes())
		record := r.Fixed(test.size, 4)
		got := fixed{record.U32(), record.U32(), record.U32()}
		next := r.U8()
		if got != test.want || !errors.Is(r.Err(), test.err) || test.err == nil && (next != 77 || record.Err() != nil) {
			t.Errorf("%d bytes: %+v, then %d, %v; want %+v, 77, %v", test.size, got, next, r.Err(), test.want, test.err)
		}
	}
	r := NewReader(Version, make([]byte, 7))
	if r.Fixed(8, 4); !errors.Is(r.Err(), ErrShort) {
		t.Errorf("a fixed record of 8 bytes in 7: %v, want %v", r.Err(), ErrShort)
	}
	defer func() {
		if recover() == nil {
			t.Error("a fixed record that is longer than its size does not panic")
		}
	}()
	w := Writer{Version: Version}
	w.U64(1)
	w.Pad(0, 4)
}

// Ensure that a count is checked before memory is taken for it.
func TestCounts(t *testing.T) {
	for _, test := range []struct {
		count uint32
		ok    bool
	}{{0, true}, {3, true}, {4, false}, {math.MaxUint32, false}} {
		w := Writer{Version: Version}
		w.U32(test.count)
		w.Raw(make([]byte, 15)) // three elements of 4 bytes or more
		r := NewReader(Version, w.Bytes())
		n := r.Count(4)
		if ok := r.Err() == nil; ok != test.ok || ok && n != int(test.count) || !ok && n != 0 {
			t.Errorf("%d elements in 15 bytes: %d, %v; want %v", test.count, n, r.Err(), test.ok)
		}
	}
}

func TestExtras(t *testing.T) {
	list := func(write func(w *Writer)) []byte {
		w := Writer{Version: Version}
		write(&w)
		return w.Bytes()
	}
	for _, test := range []struct {
		name    string
		payload []byte
		want    map[Tag]string
		err     error
	}{
		{"none", list(func(w *Writer) { w.EndExtras() }), map[Tag]string{}, nil},
		{"two", list(func(w *Writer) { w.Extra(1, []byte("one")); w.Extra(2, nil); w.EndExtras() }), map[Tag]string{1: "one", 2: ""}, nil},
		{"unknown and optional", list(func(w *Writer) { w.Extra(Optional, []byte("x")); w.Extra(1, []byte("one")); w.EndExtras() }), map[Tag]string{1: "one"}, nil},
		{"unknown", list(func(w *Writer) { w.Extra(3, []byte("x")); w.EndExtras() }), map[Tag]string{}, ErrExtra},
		{"no end", list(func(w *Writer) { w.Extra(1, []byte("one")) }), map[Tag]string{1: "one"}, ErrShort},
		{"cut", []byte{1, 4, 0, 0, 0, 'o', 'n', 'e'}, map[Tag]string{}, ErrShort},
		{"nothing", nil, map[Tag]string{}, ErrShort},
		{"too long", []byte{1, 255, 255, 255, 255, 'o', 'n', 'e'}, map[Tag]string{}, ErrShort},
	} {
		r := NewReader(Version, test.payload)
		got := map[Tag]string{}
		for tag, body := range r.Extras() {
			switch tag {
			case 1, 2:
				got[tag] = string(body.Raw(body.Len()))
			default:
				body.Unknown(tag)
			}
		}
		if !reflect.DeepEqual(got, test.want) || !errors.Is(r.Err(), test.err) {
			t.Errorf("%s: %q, %v; want %q, %v", test.name, got, r.Err(), test.want, test.err)
		}
	}
	nested := list(func(w *Writer) { w.ExtraRecord(9, &Refusal{[]string{"a", "b"}}); w.EndExtras() })
	for tag, body := range NewReader(Version, nested).Extras() {
		var got Refusal
		if got.Parse(body); tag != 9 || body.Err() != nil || got.Error() != "a; b" {
			t.Errorf("a record as an extra: tag %d, %q, %v", tag, got.Why, body.Err())
		}
	}
}

// Ensure that a writer that is used over and over takes no memory.
func TestWriterDoesNotAllocate(t *testing.T) {
	w := Writer{Version: Version}
	payload := make([]byte, 253*64)
	if n := testing.AllocsPerRun(10, func() {
		w.Reset()
		for range 253 {
			start := w.Len()
			w.U64(1)
			w.U32(2)
			w.Pad(start, 64)
		}
		r := Reader{Version: Version, data: payload}
		for range 253 {
			f := r.Fixed(64, 12)
			f.U64()
			f.U32()
		}
	}); n > 0 {
		t.Errorf("%v allocations for 253 records, want 0", n)
	}
}
