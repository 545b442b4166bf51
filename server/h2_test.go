package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/auth"
)

// Ensure that what a turn has for all streams of a connection goes out in one write, in whole
// frames, and that each stream gets its own.
func TestH2OneWrite(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	c := h.connectH2(65535)
	var ids []uint32
	for _, target := range []string{"/a", "/a", "/b", "/a?channel=/b", "/c", "/a"} {
		ids = append(ids, c.ask(target))
	}
	c.take()
	other := h.connectH2(65535)
	far := other.ask("/a")
	before, frames := h.counters.writes.Load(), c.frames
	for _, channel := range []string{"/a", "/b", "/a"} {
		if _, err := h.broker.Publish(channel, channels.Event{Data: []byte(channel)}); err != nil {
			t.Fatal(err)
		}
	}
	h.turnOver()
	c.take()
	other.take()
	a, b := event("/a"), event("/b")
	for i, want := range []string{a + a, a + a, b, a + b + a, "", a + a} {
		if got := c.text(ids[i]); got != ":\n\n"+want {
			t.Errorf("stream %d has got %q, want %q behind the greeting", i, got, want)
		}
	}
	if got := other.text(far); got != ":\n\n"+a+a {
		t.Errorf("the stream of another connection has got %q", got)
	}
	if writes := h.counters.writes.Load() - before; writes != 2 {
		t.Errorf("%d writes for two connections, want 2", writes)
	}
	if n := c.frames - frames; n != 5 {
		t.Errorf("%d DATA frames for five streams, want 5", n)
	}
}

// Ensure that no stream of a connection is silent for longer than a period, and that a stream
// that is silent for ever gets a ping a period.
func TestH2Pings(t *testing.T) {
	const period = 10 * time.Second
	h := turnByHand(t, Config{Keepalive: period}, channels.Options{})
	c := h.connectH2(1 << 20)
	silent, busy, slow := c.ask("/silent"), c.ask("/busy"), c.ask("/slow")
	spoke := map[uint32]time.Duration{silent: 0, busy: 0, slow: 0}
	seen := map[uint32]int{}
	for tick := range 20 * 30 {
		if tick%3 == 0 {
			publish(t, h.broker, "/busy", "x", 1)
		}
		if tick%77 == 0 {
			publish(t, h.broker, "/slow", "x", 1)
		}
		h.pass(period / 30)
		c.take()
		for id := range spoke {
			if n := len(c.text(id)); n > seen[id] {
				seen[id], spoke[id] = n, *h.time
			} else if silence := *h.time - spoke[id]; silence > period+period/30 {
				t.Fatalf("stream %d is silent for %v at %v", id, silence, *h.time)
			}
		}
	}
	if n := strings.Count(c.text(silent), string(pingBytes)); n < 19 || n > 21 {
		t.Errorf("%d pings in 20 periods of silence", n)
	}
	if strings.Contains(c.text(busy), string(pingBytes)) {
		t.Errorf("a stream that is never silent is pinged")
	}
}

// Ensure that connections end on which nothing goes on: those without streams, those that do
// not acknowledge settings, and those that stop in the middle of a frame.
func TestH2Idle(t *testing.T) {
	h := turnByHand(t, Config{HeaderTimeout: 10 * time.Second, Keepalive: 15 * time.Second}, channels.Options{})
	idle, used, half := h.connectH2(65535), h.connectH2(65535), h.connectH2(65535)
	stream := used.ask("/x")
	half.ask("/x")
	half.framer.WritePing(false, [8]byte{})
	half.out.Truncate(half.out.Len() - 1)
	half.flush()
	fd, mute := h.connect()
	h.beginHTTP2(h.conn(fd))
	h.settle()
	h.pass(9 * time.Second)
	for _, c := range []*h2Client{idle, used, half} {
		if c.take(); c.goAway {
			t.Error("a connection ends before its time")
		}
	}
	h.pass(2 * time.Second)
	if half.take(); !half.goAway {
		t.Error("a client that stops within a frame is not ended")
	}
	if got := received(mute); !strings.Contains(got, "took longer") {
		t.Errorf("a client that says nothing gets %q", got)
	}
	h.pass(50 * time.Second)
	if idle.take(); !idle.goAway {
		t.Error("a connection without streams stays")
	}
	used.framer.WriteRSTStream(stream, 8)
	used.flush()
	h.pass(59 * time.Second)
	if used.take(); used.goAway {
		t.Error("a connection ends as soon as it has no stream")
	}
	used.ask("/x")
	h.pass(10 * time.Minute)
	if used.take(); used.goAway {
		t.Error("a connection with a stream ends")
	}
	h.pass(5 * time.Second)
	if n := h.counters.connections.Load(); n != 1 {
		t.Errorf("%d connections are left, want 1", n)
	}
}

// Ensure that streams count where connections of HTTP/1.1 do, each, and that what one has taken
// is given back at once when its client resets it.
func TestH2Limits(t *testing.T) {
	retry := func(c *h2Client, id uint32) bool {
		c.take()
		s := c.streams[id]
		return s.status == "200" && s.ended && strings.HasPrefix(s.body.String(), "retry: ")
	}
	for name, cfg := range map[string]Config{
		"all":     {MaxConnections: 3},
		"address": {MaxConnectionsPerIP: 3},
		"user":    {MaxConnectionsPerUser: 3, Authorizer: always{auth.Verdict{Status: auth.Granted, Channels: []string{"/x"}, User: "ann"}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := turnByHand(t, cfg, channels.Options{})
			c := h.connectH2(65535)
			var ids []uint32
			for range 3 {
				ids = append(ids, c.ask("/x"))
			}
			for i := range 10 {
				if id := c.ask("/x"); !retry(c, id) {
					t.Fatalf("a stream above the limit gets %q, %q", c.streams[id].status, c.text(id))
				}
				c.framer.WriteRSTStream(ids[i%3], 8)
				c.flush()
				if ids[i%3] = c.ask("/x"); retry(c, ids[i%3]) {
					t.Fatal("a stream that was reset is still counted")
				}
			}
			if n := h.counters.streams.Load(); n != 3 || c.goAway {
				t.Errorf("%d streams, want 3", n)
			}
			h.end(h.conn(c.fd), reasonClient)
			if n, o := h.server.streams.Load(), h.occupancy.streams.Load(); n != 0 || o != 0 || h.extra != 0 || h.shared.used != int32(len(h.shared.unused)) {
				t.Errorf("left behind: %d streams, %d places, %d extra", n, o, h.extra)
			}
			if again := h.connectH2(65535); retry(again, again.ask("/x")) {
				t.Error("nothing has been given back")
			}
		})
	}
}

// always answers every request alike.
type always struct{ verdict auth.Verdict }

func (a always) Authorize(*auth.Request, time.Time, func(auth.Verdict)) (auth.Verdict, bool) {
	return a.verdict, true
}

// Ensure that the requests of one read, which may be a thousand, do not hold up the streams
// of others until as many such reads are done as there are descriptors between two wakes.
func TestH2ManyRequestsInOneRead(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	_, peer := h.stream("/x")
	c := h.connectH2(65535)
	for range maxUnwoken {
		c.request("/no such channel") // a space is refused at once
	}
	publish(t, h.broker, "/x", "news", 1)
	c.flush()
	if got, want := received(peer), event("news"); got != want {
		t.Errorf("after %d requests in one read the stream beside them has got %q, want %q", maxUnwoken, got, want)
	}
}

// Ensure that streams end by themselves, each: kicked, expired, old, or too far behind; and
// that the others of the connection go on.
func TestH2EndsOfStreams(t *testing.T) {
	h := turnByHand(t, Config{MaxLifetime: time.Hour, SlowTimeout: 20 * time.Second}, channels.Options{})
	c := h.connectH2(30)
	kicked, stuck := c.ask("/kicked"), c.ask("/stuck")
	h.startEnding(h.broker.Find("/kicked"), "")
	h.turnOver()
	if c.take(); !c.streams[kicked].ended || !strings.HasPrefix(c.text(kicked), ":\n\nretry: ") {
		t.Errorf("a stream that is kicked gets %q", c.text(kicked))
	}
	publish(t, h.broker, "/stuck", strings.Repeat("x", 100), 1)
	h.pass(time.Second)
	later := c.ask("/later")
	for range 21 {
		h.pass(time.Second)
	}
	if c.take(); !c.streams[stuck].reset || c.streams[later].reset {
		t.Errorf("a stream whose window is used up: reset is %t, of another %t; want true, false", c.streams[stuck].reset, c.streams[later].reset)
	}
	h.pass(time.Hour - time.Minute)
	if c.take(); !c.streams[later].ended {
		t.Error("a stream stays beyond its lifetime")
	}
	if got := c.text(later); got != ":\n\n" {
		t.Errorf("a stream that is as old as it may be gets %q", got)
	}
}

// Ensure that a drain tells a connection first that it is over, then each stream when to come
// back, and closes it when all have ended.
func TestH2Drain(t *testing.T) {
	h := turnByHand(t, Config{Drain: time.Second}, channels.Options{})
	c := h.connectH2(65535)
	ids := []uint32{c.ask("/x"), c.ask("/y"), c.ask("/x")}
	publish(t, h.broker, "/x", "last", 2)
	h.server.draining.Store(true)
	for range 300 {
		h.pass(tick)
	}
	c.take()
	for i, id := range ids {
		want := []string{event("last"), "", event("last")}[i]
		got, ok := strings.CutPrefix(c.text(id), ":\n\n"+want+"retry: ")
		if !ok || !c.streams[id].ended || strings.Count(got, "\n\n") != 1 {
			t.Errorf("stream %d: %q", i, c.text(id))
		}
	}
	if !slices.Equal(c.order, []string{"goaway", "end", "end", "end", "closed"}) {
		t.Errorf("in the order %q", c.order)
	}
}

// Ensure that a request is answered as in HTTP/1.1, without what belongs to its connections.
func TestH2Answers(t *testing.T) {
	h := turnByHand(t, Config{AllowOrigins: []string{"https://app.example"}, Hosts: []string{"test"}}, channels.Options{})
	c := h.connectH2(65535)
	for _, tt := range []struct{ method, target, header, status, body string }{
		{"GET", "/healthz", "", "200", "ok\n"},
		{"HEAD", "/x", "", "200", ""},
		{"OPTIONS", "/x", "", "204", ""},
		{"POST", "/x", "", "405", "method is none of GET, HEAD and OPTIONS\n"},
		{"GET", "/favicon.ico", "", "404", "/favicon.ico is not a channel\n"},
		{"GET", "/x%zz", "", "400", "percent sign without two hexadecimal digits\n"},
		{"GET", "/x", "accept: text/html", "406", "this server sends text/event-stream only, and the Accept header excludes it\n"},
		{"GET", "/x", "host: other", "400", ""},
		{"GET", "/x?channel=__x", "", "403", ""},
	} {
		fields := []string{":method", tt.method}
		if name, value, ok := strings.Cut(tt.header, ": "); ok {
			fields = append(fields, name, value)
		}
		id := c.ask(tt.target, fields...)
		c.take()
		s := c.streams[id]
		if s.status != tt.status || !s.ended || tt.body != "" && s.body.String() != tt.body {
			t.Errorf("%s %s %s: %s %q, ended %t; want %s %q", tt.method, tt.target, tt.header, s.status, s.body.String(), s.ended, tt.status, tt.body)
		}
	}
	if n := h.counters.connections.Load(); n != 1 || c.goAway {
		t.Errorf("%d connections, want the one", n)
	}
	if n := fmt.Sprint(h.counters.closed[reasonAnswered].Load()); n != "9" {
		t.Errorf("%s are counted as answered, want 9", n)
	}
}

// Ensure that a client that breaks the rules, or has the server work for nothing, is told why
// and ended, with its streams, and counted.
func TestH2Faults(t *testing.T) {
	for _, tt := range []struct {
		name, fault string
		do          func(c *h2Client)
	}{
		{"garbage", "frame size", func(c *h2Client) { c.out.WriteString("GET / HTTP/1.1\r\n\r\n") }},
		{"a PING of a stream", "protocol", func(c *h2Client) { c.out.WriteString("\x00\x00\x08\x06\x00\x00\x00\x00\x01xxxxxxxx") }},
		{"a window that is too large", "flow control", func(c *h2Client) { c.framer.WriteWindowUpdate(0, 1<<31-1) }},
		{"a table that is not there", "compression", func(c *h2Client) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0xbe}, EndStream: true, EndHeaders: true})
		}},
		{"floods", "flood", func(c *h2Client) {
			for range 1000 {
				c.framer.WritePing(false, [8]byte{})
			}
		}},
	} {
		h := turnByHand(t, Config{}, channels.Options{})
		c := h.connectH2(65535)
		c.ask("/x")
		tt.do(c)
		for c.out.Len() > 0 && h.owns(c.fd) {
			c.flush()
		}
		c.take()
		if stats := h.server.Stats(); !c.goAway || stats.Streams != 0 || stats.H2 != 0 || stats.H2Faults[tt.fault] != 1 {
			t.Errorf("%s: told so is %t, %d streams, faults %v; want 1 of %q", tt.name, c.goAway, stats.Streams, stats.H2Faults, tt.fault)
		}
		if n := h.counters.lingering.Load(); n != 1 {
			t.Errorf("%s: %d connections linger, want it", tt.name, n)
		}
	}
}

// Ensure that a client that asks and does not read what it gets is ended, as is one whose
// socket takes nothing for the slow timeout.
func TestH2NotRead(t *testing.T) {
	h := turnByHand(t, Config{SlowTimeout: 10 * time.Second}, channels.Options{})
	asking, silent := h.connectH2(65535), h.connectH2(1<<20)
	for _, c := range []*h2Client{asking, silent} {
		unix.SetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
	}
	for range 2000 {
		if h.owns(asking.fd) {
			asking.ask("/healthz")
		}
	}
	if h.owns(asking.fd) {
		t.Errorf("a client that asks and does not read is kept: %d bytes wait for it", h.readers.m[streamID(asking.fd)].rest.left())
	}
	silent.grant(0, 1<<20)
	stream := silent.ask("/x")
	silent.take()
	for range 10 {
		publish(t, h.broker, "/x", strings.Repeat("x", 50_000), 1)
	}
	h.turnOver()
	for range 9 {
		h.pass(time.Second)
		if !h.owns(silent.fd) {
			t.Error("a client whose socket is full is ended before its time")
		}
	}
	h.pass(2 * time.Second)
	silent.take()
	if h.owns(silent.fd) && !silent.streams[stream].reset {
		t.Error("a client whose socket takes nothing is kept")
	}
	if n := h.counters.streams.Load(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}
