package h2

import (
	"testing"
)

// BenchmarkFrame puts a message of 100 bytes into frames for the six streams of a connection.
func BenchmarkFrame(b *testing.B) {
	c := newClient()
	s := newServer()
	s.reader.limits.Streams = 6
	for id := uint32(1); id < 12; id += 2 {
		c.get(id, "/")
	}
	s.feed(b, c.Bytes())
	message, out := make([]byte, 100), make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for id := uint32(1); id < 12; id += 2 {
			stream := s.streams[id]
			s.conn.window, stream.window = initialWindow, initialWindow
			if s.conn.Room(stream) < len(message) {
				b.Fatal("there is no room")
			}
			out = s.conn.AppendDataHeader(out, stream, len(message))
			out = append(out, message...)
		}
	}
}

// BenchmarkWindowUpdate reads what clients send most.
func BenchmarkWindowUpdate(b *testing.B) {
	c, s := newClient(), newServer()
	c.get(1, "/")
	s.feed(b, c.Next(c.Len()))
	c.WriteWindowUpdate(0, 1000)
	c.WriteWindowUpdate(1, 1000)
	in := c.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		s.conn.window, s.streams[1].window = 0, 0
		s.conn.budget.earn(fullBudget)
		for rest := in; len(rest) > 0; {
			_, n, err := s.reader.Next(&s.conn, nil, s, 0, rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}

// BenchmarkRequest reads a request as a browser sends it, without a table.
func BenchmarkRequest(b *testing.B) {
	c, s := newClient(), newServer()
	c.obey()
	s.feed(b, c.Next(c.Len()))
	block := c.encode(getFields("/rooms/42", "pragma: no-cache", "cache-control: no-cache", "accept: text/event-stream", "origin: https://app.example.org",
		"user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36",
		"sec-fetch-site: same-site", "sec-fetch-mode: cors", "sec-fetch-dest: empty", "accept-encoding: gzip, deflate, br, zstd", "accept-language: en-US,en;q=0.9", "priority: u=1, i")...)
	in := blockFrames(1, block, true)
	b.ReportAllocs()
	for b.Loop() {
		s.conn.newest, s.conn.open = 0, 0
		if ev, _, err := s.reader.Next(&s.conn, nil, s, 0, in); err != nil || ev.Kind != Opened || ev.Err != nil {
			b.Fatal(ev, err)
		}
	}
}
