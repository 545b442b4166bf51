package h2

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// openStream returns a connection with a stream that its client has ended.
func openStream(t reporter) (*server, *Stream) {
	c, s := newClient(), newServer()
	c.get(1, "/")
	s.feed(t, c.Bytes())
	s.told = nil
	return s, s.streams[1]
}

// Ensure that frames stand on the wire as RFC 9113 has them, byte for byte.
func TestWire(t *testing.T) {
	s, stream := openStream(t)
	c := &s.conn
	for _, f := range []struct {
		name string
		got  []byte
		want string
	}{
		{"SETTINGS", s.reader.AppendSettings(nil), "000018 04 00 00000000  0001 00000000  0003 00000003  0006 00004000  0009 00000001"},
		{"the first HEADERS", c.AppendHead(nil, stream, []byte{0x88}, false), "000002 01 04 00000001  20 88"},
		{"a second HEADERS", c.AppendHead(nil, stream, []byte{0x88}, false), "000001 01 04 00000001  88"},
		{"DATA", c.AppendDataHeader(nil, stream, 300), "00012c 00 00 00000001"},
		{"the end", c.AppendEnd(nil, &Stream{number: 0x101}), "000000 00 01 00000101"},
		{"HEADERS that are the end", c.AppendHead(nil, &Stream{number: 3}, []byte{0x8d}, true), "000001 01 05 00000003  8d"},
		{"the end of what goes on", c.AppendEnd(nil, &Stream{number: 5 | clientOpen}), "000000 00 01 00000005  000004 03 00 00000005  00000000"},
		{"RST_STREAM", c.AppendReset(nil, stream, RefusedStream), "000004 03 00 00000001  00000007"},
		{"GOAWAY", c.AppendGoAway(nil, nil), "000008 07 00 00000000  00000001 00000000"},
		{"GOAWAY with a text", c.AppendGoAway(nil, &Error{EnhanceYourCalm, "hey"}), "00000b 07 00 00000000  00000001 0000000b  686579"},
	} {
		if want := strings.ReplaceAll(f.want, " ", ""); hex.EncodeToString(f.got) != want {
			t.Errorf("%s: %x, want %s", f.name, f.got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n != 32 {
		t.Errorf("a Conn has %d bytes, want 32", n)
	}
	if n := unsafe.Sizeof(Stream{}); n != 8 {
		t.Errorf("a Stream has %d bytes, want 8", n)
	}
}

// Ensure that a head of any length comes in frames that a client takes.
func TestHeadsOfAnyLength(t *testing.T) {
	for _, n := range []int{0, 1, 16000, 16382, 16383, 16384, 40000} {
		for _, end := range []bool{false, true} {
			s, stream := openStream(t)
			head := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("~", n) + "\r\n\r\n" // shorter as it is than by Huffman
			out := s.conn.AppendHead(nil, stream, NewEncoder().AppendBlock(nil, []byte(head)), end)
			want := "> HEADERS 1 "
			if end {
				want += "end "
			}
			if frames := framesIn(t, out); len(frames) != 1 || frames[0] != want+":status=200 x="+strings.Repeat("~", n) {
				t.Errorf("a head with a value of %d bytes comes as %.100q", n, frames)
			}
		}
	}
}

func TestBlocks(t *testing.T) {
	e := NewEncoder()
	first := e.AppendBlock([]byte("before"), []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nContent-Length: 5\r\n"))
	all := e.AppendBlock(first, []byte("Vary: Origin\r\nAccess-Control-Allow-Origin: https://a\r\n\r\n"))
	block, ok := bytes.CutPrefix(all, []byte("before"))
	if !ok {
		t.Errorf("what stood before the block is %q", all)
	}
	s, stream := openStream(t)
	frames := framesIn(t, s.conn.AppendHead(nil, stream, block, false))
	if want := "> HEADERS 1 :status=200 content-type=text/event-stream vary=Origin access-control-allow-origin=https://a"; len(frames) != 1 || frames[0] != want {
		t.Errorf("the head is %q, want %s", frames, want)
	}
	if again := e.AppendBlock(nil, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")); !bytes.HasPrefix(block, again) {
		t.Errorf("the same head is %x and then %x", block, again)
	}
}

// window is the naive twin of a window: what it was to begin with, and all that has changed it.
type window []int64

func (w window) now() (sum int64) {
	for _, change := range w {
		sum += change
	}
	return sum
}

// Ensure that what may be sent is what the windows of the connection and of the stream allow,
// after any WINDOW_UPDATEs and settings, and never more than a frame.
func TestWindowsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, s := newClient(), newServer()
		for id := uint32(1); id <= 3; id += 2 {
			c.get(id, "/")
		}
		s.feed(t, c.Next(c.Len()))
		all, each, initial := window{65535}, map[uint32]window{1: {65535}, 3: {65535}}, int64(65535)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			s.conn.budget.earn(fullBudget)
			id := rapid.SampledFrom([]uint32{1, 3}).Draw(t, "stream")
			by := rapid.Uint32Range(1, 100_000).Draw(t, "by")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				c.WriteWindowUpdate(0, by)
				all = append(all, int64(by))
			case 1:
				c.WriteWindowUpdate(id, by)
				each[id] = append(each[id], int64(by))
			case 2:
				c.WriteRawFrame(4, 0, 0, []byte{0, 4, 0, byte(by >> 16), byte(by >> 8), byte(by)})
				for id := range each {
					each[id] = append(each[id], int64(by)-initial)
				}
				initial = int64(by)
			case 3:
				n := s.conn.Room(s.streams[id])
				s.conn.AppendDataHeader(nil, s.streams[id], n)
				all, each[id] = append(all, int64(-n)), append(each[id], int64(-n))
			}
			s.feed(t, c.Next(c.Len()))
			if s.err != nil {
				t.Fatal(s.err)
			}
			for id, w := range each {
				want := max(0, min(all.now(), w.now(), MaxPayload))
				if got := s.conn.Room(s.streams[id]); int64(got) != want {
					t.Fatalf("stream %d: room for %d bytes, want %d: windows %d and %d", id, got, want, all.now(), w.now())
				}
			}
		}
	})
}

func TestWritingDoesNotAllocate(t *testing.T) {
	s, stream := openStream(t)
	dst, head := make([]byte, 0, 1<<10), NewEncoder().AppendBlock(nil, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"))
	if n := testing.AllocsPerRun(100, func() {
		dst = s.conn.AppendHead(dst[:0], stream, head, false)
		dst = s.conn.AppendDataHeader(dst, stream, s.conn.Room(stream))
	}); n != 0 {
		t.Errorf("a head and a frame of data allocate %v times", n)
	}
}
