package h2

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// Ensure that what is sent on a connection that travels at any moment is what is sent on one that
// stays: heads, messages, ends, whatever windows allow. A client that has one decoder for all of
// it reads every head.
func TestTravelSending(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClient()
		c.obey()
		stays, travels := newServer(), newServer()
		both := [...]*server{stays, travels}
		feed := func() {
			for _, s := range both {
				s.feed(t, slices.Clone(c.Bytes()))
			}
			c.Reset()
		}
		feed()
		decoder := hpack.NewDecoder(4096, nil)
		encoders := [...]*Encoder{NewEncoder(), NewEncoder()}
		next := uint32(1)
		same := func(t *rapid.T, what func(s *server, e *Encoder) []byte) []byte {
			one, other := what(stays, encoders[0]), what(travels, encoders[1])
			if !bytes.Equal(one, other) {
				t.Fatalf("the one that stays sends %x, the one that travels %x", one, other)
			}
			return one
		}
		stream := func(t *rapid.T) uint32 {
			ids := make([]uint32, 0, len(stays.streams))
			for id := range stays.streams {
				ids = append(ids, id)
			}
			if len(ids) == 0 {
				t.Skip("no stream is open")
			}
			slices.Sort(ids)
			return rapid.SampledFrom(ids).Draw(t, "stream")
		}
		t.Repeat(map[string]func(*rapid.T){
			"travel": func(t *rapid.T) {
				travels.travel(t)
				encoders[1] = NewEncoder()
			},
			"request": func(t *rapid.T) {
				c.get(next, "/a", "x: y")
				next += 2
				feed()
			},
			"window": func(t *rapid.T) {
				c.WriteWindowUpdate(stream(t), 5)
				c.WriteWindowUpdate(0, 3)
				feed()
			},
			"head": func(t *rapid.T) {
				id, end := stream(t), rapid.Bool().Draw(t, "end")
				head := same(t, func(s *server, e *Encoder) []byte {
					block := e.AppendBlock(nil, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: y\r\n"))
					defer func() {
						if end {
							delete(s.streams, id)
						}
					}()
					return s.conn.AppendHead(nil, s.streams[id], block, end)
				})
				f, _, err := take(head, 1<<15)
				if err != nil {
					t.Fatal(err)
				}
				if fields, err := decoder.DecodeFull(f.payload); err != nil || len(fields) != 3 {
					t.Fatalf("a client reads %v: %v", fields, err)
				}
			},
			"data": func(t *rapid.T) {
				id, most := stream(t), rapid.IntRange(1, 40_000).Draw(t, "bytes")
				same(t, func(s *server, _ *Encoder) []byte {
					n := min(most, s.conn.Room(s.streams[id]))
					return append(s.conn.AppendDataHeader(nil, s.streams[id], n), make([]byte, n)...)
				})
			},
			"end": func(t *rapid.T) {
				id := stream(t)
				same(t, func(s *server, _ *Encoder) []byte {
					defer delete(s.streams, id)
					return s.conn.AppendEnd(nil, s.streams[id])
				})
			},
			"go away": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "last") == 0 {
					same(t, func(s *server, _ *Encoder) []byte { return s.conn.AppendGoAway(nil, nil) })
				}
			},
			"": func(t *rapid.T) {
				if stays.conn != travels.conn || fmt.Sprint(stays.told) != fmt.Sprint(travels.told) {
					t.Fatalf("%+v and %v; of the one that travels %+v and %v", stays.conn, stays.told, travels.conn, travels.told)
				}
			},
		})
	})
}

// FuzzRestore ensures that whatever comes is refused, or is a connection and a stream that come of
// the same bytes again.
func FuzzRestore(f *testing.F) {
	c := newClient()
	c.obey()
	c.get(1, "/")
	s := newServer()
	s.feed(f, c.Bytes())
	f.Add(append(s.conn.AppendState(nil), s.streams[1].AppendState(nil)...))
	f.Add([]byte{stateVersion})
	f.Fuzz(func(t *testing.T, p []byte) {
		n := min(len(p), ConnStateLen)
		var conn Conn
		err := conn.Restore(p[:n])
		if err != nil {
			if conn != (Conn{}) || !errors.Is(err, ErrState) {
				t.Fatalf("changed by what was refused: %+v, %v", conn, err)
			}
			return
		}
		if again := conn.AppendState(nil); !bytes.Equal(again, p[:n]) {
			t.Fatalf("of %x comes %x", p[:n], again)
		}
		var stream Stream
		if err := conn.RestoreStream(&stream, p[n:]); err == nil && !bytes.Equal(stream.AppendState(nil), p[n:]) {
			t.Fatalf("of %x comes the stream %+v", p[n:], stream)
		}
		if conn.Room(&stream) < 0 {
			t.Fatalf("a room of %d bytes", conn.Room(&stream))
		}
	})
}
