package server

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// h2Client is the other end of a connection of HTTP/2 that the test turns by hand, without TLS.
// It fails a test whose server breaks the rules of windows.
type h2Client struct {
	t       interface{ Fatalf(string, ...any) }
	h       handLoop
	fd      int32
	peer    int
	out     bytes.Buffer // frames that it has made
	framer  *http2.Framer
	in      []byte // what has come and is no whole frame
	streams map[uint32]*h2ClientStream
	window  int // what the server may send on all streams
	initial int // and at first on each
	next    uint32
	goAway  bool
	closed  bool
	order   []string // of ends
	frames  int      // DATA frames that have come
}

type h2ClientStream struct {
	status string
	body   bytes.Buffer
	window int
	ended  bool
	reset  bool
}

// connectH2 opens a connection of HTTP/2, with windows of that size.
func (h handLoop) connectH2(initial int) *h2Client {
	h.t.Helper()
	fd, peer := h.connect()
	return h.beginH2(fd, peer, initial)
}

// beginH2 is connectH2 of a connection that there is.
func (h handLoop) beginH2(fd int32, peer, initial int) *h2Client {
	h.beginHTTP2(h.conn(fd))
	c := &h2Client{t: h.t, h: h, fd: fd, peer: peer, streams: make(map[uint32]*h2ClientStream), window: 65535, initial: initial, next: 1}
	c.framer = http2.NewFramer(&c.out, nil)
	c.out.WriteString(http2.ClientPreface)
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(initial)})
	c.framer.WriteSettingsAck()
	c.flush()
	return c
}

// flush sends what the client has made, and has the loop read it.
func (c *h2Client) flush() {
	unixWrite(c.h.t, c.peer, c.out.String())
	c.out.Reset()
	if c.h.owns(c.fd) {
		c.h.on(c.fd, true, false)
	}
}

// flushPart is flush of the first n bytes.
func (c *h2Client) flushPart(n int) {
	rest := bytes.Clone(c.out.Bytes()[n:])
	c.out.Truncate(n)
	c.flush()
	c.out.Write(rest)
}

// ask opens a stream.
func (c *h2Client) ask(target string, headers ...string) uint32 {
	id := c.request(target, headers...)
	c.flush()
	return id
}

// request is ask without sending it yet.
func (c *h2Client) request(target string, headers ...string) uint32 {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0)
	method := "GET"
	if len(headers) > 0 && headers[0] == ":method" {
		method, headers = headers[1], headers[2:]
	}
	fields := append([]string{":method", method, ":scheme", "https", ":authority", "test", ":path", target}, headers...)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	id := c.next
	c.next += 2
	c.streams[id] = &h2ClientStream{window: c.initial}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	return id
}

// grant opens a window: of a stream, or with 0 of the connection.
func (c *h2Client) grant(stream uint32, n int) {
	if s := c.streams[stream]; s != nil {
		s.window += n
	} else if stream == 0 {
		c.window += n
	}
	c.framer.WriteWindowUpdate(stream, uint32(n))
}

// take takes in what has arrived.
func (c *h2Client) take() {
	closed := false
	for b := make([]byte, 1<<16); ; {
		n, err := unix.Read(c.peer, b)
		if n <= 0 {
			closed = n == 0 && err == nil
			break
		}
		c.in = append(c.in, b[:n]...)
	}
	for len(c.in) >= 9 {
		n := 9 + int(binary.BigEndian.Uint32(c.in)>>8)
		if len(c.in) < n {
			break
		}
		typ, flags, id, payload := http2.FrameType(c.in[3]), http2.Flags(c.in[4]), binary.BigEndian.Uint32(c.in[5:])&(1<<31-1), c.in[9:n]
		c.in = c.in[n:]
		c.on(typ, flags, id, payload)
	}
	if closed && !c.closed {
		c.closed, c.order = true, append(c.order, "closed")
	}
}

func (c *h2Client) on(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	s := c.streams[id]
	switch typ {
	case http2.FrameHeaders:
		hpack.NewDecoder(0, func(f hpack.HeaderField) {
			if f.Name == ":status" {
				s.status = f.Value
			}
		}).Write(payload)
		s.ended = s.ended || flags.Has(http2.FlagHeadersEndStream)
	case http2.FrameData:
		c.frames++
		if s.ended || s.reset {
			c.t.Fatalf("stream %d: DATA after its end", id)
		}
		s.body.Write(payload)
		s.window -= len(payload)
		c.window -= len(payload)
		if s.window < 0 && len(payload) > 0 || c.window < 0 {
			c.t.Fatalf("stream %d: %d bytes that its window has no room for: %d are left, %d for all", id, len(payload), s.window, c.window)
		}
		if s.ended = flags.Has(http2.FlagDataEndStream); s.ended {
			c.order = append(c.order, "end")
		}
	case http2.FrameRSTStream:
		s.reset = true
	case http2.FrameGoAway:
		c.goAway, c.order = true, append(c.order, "goaway")
	}
}

// text returns what a stream has got.
func (c *h2Client) text(id uint32) string { return c.streams[id].body.String() }

func event(data string) string { return fmt.Sprintf("data: %s\n\n", data) }
