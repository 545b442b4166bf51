package handover

import (
	"bytes"
	"errors"
	"testing"
)

// Ensure that parts are the same, wherever frames cut them.
func TestPartsAreCut(t *testing.T) {
	w := Writer{Version: Version}
	records := []*Forgotten{{1, nil}, {2, bytes.Repeat([]byte("x"), 20)}, {3, []byte("/a")}}
	for _, r := range records {
		w.Part(PartForget, r)
	}
	all := w.Bytes()
	for size := 1; size <= len(all); size++ {
		var p Parts
		var got [][]byte
		for rest := all; len(rest) > 0; {
			n := min(size, len(rest))
			p.Add(rest[:n])
			rest = rest[n:]
			for {
				kind, record, ok, err := p.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if kind != PartForget {
					t.Fatalf("cut to %d bytes: part %d", size, kind)
				}
				got = append(got, bytes.Clone(record))
			}
		}
		if len(got) != len(records) {
			t.Fatalf("cut to %d bytes: %d parts, want %d", size, len(got), len(records))
		}
		for i, r := range records {
			if want := Encode(Version, r); !bytes.Equal(got[i], want) {
				t.Errorf("cut to %d bytes: %x, want %x", size, got[i], want)
			}
		}
	}
}

// Ensure that the length of a part is checked before memory is taken.
func TestPartHasBound(t *testing.T) {
	for _, cut := range []int{partHead, 2} { // together, and in two payloads
		var p Parts
		part, err := []byte{0xff, 0xff, 0xff, 0x7f, byte(PartGap)}, error(nil)
		for _, piece := range [][]byte{part[:cut], part[cut:]} {
			p.Add(piece)
			if err == nil {
				_, _, _, err = p.Next()
			}
		}
		if !errors.Is(err, ErrPart) {
			t.Errorf("a part of 2 GiB: %v, want %v", err, ErrPart)
		}
	}
}
