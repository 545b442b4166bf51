package tlsrecord

import (
	"bytes"
	"io"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// travel has a connection go on in another State, of what the one before was, and fails unless
// that is gone.
func travel(t interface{ Fatalf(string, ...any) }, s *State) *State {
	p := s.AppendState([]byte("before"))[len("before"):]
	before := *s
	s.Clear()
	if memory := unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)); !bytes.Equal(memory, make([]byte, len(memory))) {
		t.Fatalf("Clear leaves %x", memory)
	}
	next := new(State)
	if err := next.Restore(p); err != nil || len(p) != StateLen {
		t.Fatalf("%d bytes of %+v: %v", len(p), before, err)
	}
	if *next != before {
		t.Fatalf("restored as %+v, want %+v", *next, before)
	}
	clear(p)
	return next
}

// Ensure that a connection that travels at any moment goes on as one that did not: what both ends
// seal, and what they make of what comes, is the same, byte by byte.
func TestTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		suite := rapid.SampledFrom(suites).Draw(t, "suite")
		stays, peer := pair(t, suite)
		travels, peers := pair(t, suite)
		if rapid.Bool().Draw(t, "client") {
			stays.SkipTickets()
			travels.SkipTickets()
		}
		var in, ins []byte // sealed by the peers, and not read yet
		same := func(what string, a, b []byte) {
			if !bytes.Equal(a, b) {
				t.Fatalf("%s: %x of the one that stays, %x of the one that travels", what, a, b)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"travel": func(t *rapid.T) { travels = travel(t, travels) },
			"write": func(t *rapid.T) {
				content := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "content")
				same("written", stays.AppendData(nil, content), travels.AppendData(nil, content))
			},
			"owed": func(t *rapid.T) { same("owed", stays.AppendOwed(nil), travels.AppendOwed(nil)) },
			"update": func(t *rapid.T) {
				ask := rapid.Bool().Draw(t, "ask")
				same("updated", stays.AppendKeyUpdate(nil, ask), travels.AppendKeyUpdate(nil, ask))
			},
			"many records": func(t *rapid.T) {
				if stays.writeSeq < rekeyAfter {
					stays.writeSeq += rekeyAfter - 1
					travels.writeSeq += rekeyAfter - 1
				}
			},
			"alert": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "last") == 0 {
					same("alert", stays.AppendAlert(nil, CloseNotify), travels.AppendAlert(nil, CloseNotify))
				}
			},
			"receive": func(t *rapid.T) {
				typ := rapid.SampledFrom([]contentType{typeData, typeData, typeHandshake, typeAlert}).Draw(t, "type")
				content := rapid.SampledFrom([]string{"abc", "\x18\x00\x00\x01\x01", "\x18\x00\x00\x01", "\x01", "\x04\x00", "\x00\x05", "12345", "\x01\x5a", ""}).Draw(t, "content")
				in, ins = append(in, seal(peer, typ, content)...), append(ins, seal(peers, typ, content)...)
			},
			"peer updates": func(t *rapid.T) {
				in, ins = peer.AppendKeyUpdate(in, true), peers.AppendKeyUpdate(ins, true)
			},
			"read": func(t *rapid.T) {
				n := rapid.IntRange(0, len(in)).Draw(t, "bytes")
				one, used, err := stays.Take(bytes.Clone(in[:n]))
				other, usedToo, errToo := travels.Take(bytes.Clone(ins[:n]))
				same("read", one, other)
				if used != usedToo || (err == nil) != (errToo == nil) || err != nil && err.Error() != errToo.Error() {
					t.Fatalf("%d used, %v; of the one that travels %d, %v", used, err, usedToo, errToo)
				}
				in, ins = in[used:], ins[used:]
			},
			"": func(t *rapid.T) {
				if *stays != *travels {
					t.Fatalf("the one that stays is %+v, the one that travels %+v", *stays, *travels)
				}
			},
		})
	})
}

// Ensure that a State that was cleared seals nothing, opens nothing, and stays clear.
func TestCleared(t *testing.T) {
	a, b := pair(t, suites[0])
	record := b.AppendData(nil, []byte("x"))
	a.Clear()
	sealed := a.AppendAlert(a.AppendKeyUpdate(a.AppendData(nil, []byte("x")), true), CloseNotify)
	plain, _, err := a.Take(record)
	if len(sealed) > 0 || len(plain) > 0 || err != io.EOF || a.writeSecret != [48]byte{} || a.writeKey != [32]byte{} {
		t.Errorf("sealed %x, opened %q, %v", sealed, plain, err)
	}
}

// FuzzRestore ensures that whatever comes is refused, or is a State that comes of the same bytes
// again and can be used.
func FuzzRestore(f *testing.F) {
	for _, id := range suites {
		s, _ := pair(f, id)
		f.Add(s.AppendState(nil))
		s.SkipTickets()
		s.Take([]byte("x"))
		f.Add(s.AppendState(nil))
	}
	f.Add([]byte{stateVersion})
	f.Fuzz(func(t *testing.T, p []byte) {
		s := State{barren: 7}
		if err := s.Restore(p); err != nil {
			if s != (State{barren: 7}) {
				t.Fatalf("changed by what was refused: %v", err)
			}
			return
		}
		if again := s.AppendState(nil); !bytes.Equal(again, p) {
			t.Fatalf("of %x comes %x", p, again)
		}
		s.Take([]byte("\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyz123456"))
		s.AppendAlert(s.AppendData(nil, []byte("x")), CloseNotify)
	})
}

// BenchmarkTravel is what one process does with the state of a connection, and the other.
func BenchmarkTravel(b *testing.B) {
	s, _ := pair(b, suites[0])
	var next State
	p := make([]byte, 0, StateLen)
	b.ReportAllocs()
	for b.Loop() {
		p = s.AppendState(p[:0])
		if err := next.Restore(p); err != nil {
			b.Fatal(err)
		}
	}
}
