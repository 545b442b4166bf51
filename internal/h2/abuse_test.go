package h2

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// floods are what a client does over and over, its n-th time, on a server that answers at once
// or holds its streams open. None may go on for long.
var floods = []struct {
	name    string
	answers bool
	send    func(c *client, n int)
	most    int // times
}{
	{"PING", false, func(c *client, n int) { c.WritePing(false, [8]byte{}) }, fullBudget},
	{"PING answers", false, func(c *client, n int) { c.WritePing(true, [8]byte{}) }, fullBudget},
	{"SETTINGS", false, func(c *client, n int) { c.WriteSettings() }, fullBudget / 2},
	{"SETTINGS with much in it", false, func(c *client, n int) { c.WriteSettings(make([]http2.Setting, 2730)...) }, 2},
	{"SETTINGS answers", false, func(c *client, n int) { c.WriteSettingsAck() }, fullBudget / 2},
	{"PRIORITY", false, func(c *client, n int) { c.WritePriority(1, http2.PriorityParam{}) }, fullBudget},
	{"WINDOW_UPDATE", false, func(c *client, n int) { c.WriteWindowUpdate(0, 1) }, fullBudget},
	{"GOAWAY", false, func(c *client, n int) { c.WriteGoAway(0, 0, nil) }, fullBudget},
	{"unknown frames", false, func(c *client, n int) { c.WriteRawFrame(99, 0, 0, nil) }, fullBudget},
	{"empty DATA", false, func(c *client, n int) {
		if n == 0 {
			c.send(1, getFields("/")...)
		}
		c.WriteData(1, false, nil)
	}, fullBudget},
	{"empty DATA of a stream that was answered", true, func(c *client, n int) {
		if n == 0 {
			c.send(1, getFields("/")...)
		}
		c.WriteData(1, false, nil)
	}, fullBudget},
	{"empty CONTINUATION", false, func(c *client, n int) {
		if n == 0 {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
		}
		c.WriteContinuation(1, false, nil)
	}, 50},
	{"CONTINUATION with much in it", false, func(c *client, n int) {
		if n == 0 {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
		}
		c.WriteContinuation(1, false, make([]byte, MaxPayload))
	}, 3},
	{"blocks in small pieces", true, func(c *client, n int) {
		block := c.encode(getFields("/")...)
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), EndStream: true, BlockFragment: block})
		for i := range 30 {
			c.WriteContinuation(uint32(2*n+1), i == 29, nil)
		}
	}, fullBudget / 30},
	{"rapid reset (CVE-2023-44487)", false, func(c *client, n int) {
		c.get(uint32(2*n+1), "/")
		c.WriteRSTStream(uint32(2*n+1), http2.ErrCodeCancel)
	}, fullBudget / costReset},
	{"streams that we reset (CVE-2025-8671), by windows", false, func(c *client, n int) {
		c.get(uint32(2*n+1), "/")
		c.WriteWindowUpdate(uint32(2*n+1), 1<<31-1)
	}, fullBudget / costReset},
	{"streams that we reset, malformed", false, func(c *client, n int) { c.get(uint32(2*n+1), "/", "te: gzip") }, fullBudget / costReset},
	{"streams that we reset, too many", false, func(c *client, n int) { c.get(uint32(2*n+1), "/") }, fullBudget/costReset + 3},
	{"streams that we reset, with content to come", true, func(c *client, n int) {
		c.send(uint32(2*n+1), getFields("/", "content-length: 1")...)
		c.WriteData(uint32(2*n+1), true, []byte("ab"))
	}, fullBudget / costReset},
	{"trailers of streams that were abandoned", true, func(c *client, n int) {
		if n == 0 {
			c.send(1, getFields("/")...)
			c.send(3, getFields("/")...)
		}
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: c.encode("x: y")})
	}, fullBudget / costReset},
	{"a bomb of HPACK", true, func(c *client, n int) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), EndStream: true, EndHeaders: true,
			BlockFragment: append(c.encode(getFields("/", "x: "+strings.Repeat("a", 3000))...), strings.Repeat("\xbe", 10000)...)})
	}, fullBudget / costTooLong},
}

// Ensure that each kind of flood is refused, after not much has been sent in answer.
func TestFloods(t *testing.T) {
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			c, s := newClient(), newServer()
			s.answers = f.answers
			sent := 0
			for n := 0; s.err == nil; n++ {
				if n > f.most {
					t.Fatalf("%d times, and the connection is still open; want at most %d", n, f.most)
				}
				f.send(c, n)
				s.feed(t, c.Next(c.Len()))
				for _, told := range s.told {
					if strings.HasPrefix(told, "> ") {
						sent += len(told)
					}
				}
				s.told = s.told[:0]
			}
			if e, ok := s.err.(*Error); !ok || e.Code != EnhanceYourCalm {
				t.Errorf("the connection ended by %v, want %d", s.err, EnhanceYourCalm)
			}
			if sent > 16<<10 {
				t.Errorf("%d bytes of answers, want at most %d", sent, 16<<10)
			}
		})
	}
}

// Ensure that a client with a small window is not taken for an attacker, which opens both windows
// for each frame; nor is one whose page is loaded anew each second, with twenty streams.
func TestGoodClientsAreBorne(t *testing.T) {
	c, s := newClient(), newServer()
	c.get(1, "/")
	s.feed(t, c.Next(c.Len()))
	for range 10000 {
		s.conn.AppendDataHeader(nil, s.streams[1], 1000)
		c.WriteWindowUpdate(0, 1000)
		c.WriteWindowUpdate(1, 1000)
		s.feed(t, c.Next(c.Len()))
	}
	if s.err != nil {
		t.Errorf("a client with a small window: %v", s.err)
	}

	b := newBudget(time.Hour)
	for i := range 10000 {
		b.fill(time.Hour + time.Duration(i)*10*time.Second)
		for range 20 {
			b.earn(perData) // the opening of a stream
			if err := b.spend(costReset); err != nil {
				t.Fatalf("a page that is loaded for the %dth time: %v", i, err)
			}
		}
	}
}

// Ensure that what time gives back is not taken for more than it is, whatever the time.
func TestBudgetOverTime(t *testing.T) {
	for _, c := range []struct {
		start, after time.Duration
		want         int16
	}{
		{0, 0, 0},
		{0, time.Second - 1, 0},
		{time.Second - 1, 1, perSecond},
		{0, 10 * time.Second, 10 * perSecond},
		{0, time.Hour, fullBudget},
		{65535 * time.Second, time.Second, perSecond},
	} {
		b := newBudget(c.start)
		for b.left > 0 {
			b.spend(1)
		}
		if b.fill(c.start + c.after); b.left != c.want {
			t.Errorf("%v after %v: %d, want %d", c.after, c.start, b.left, c.want)
		}
		if b.fill(c.start + c.after); b.left != c.want {
			t.Errorf("%v after %v, for the second time: %d, want %d", c.after, c.start, b.left, c.want)
		}
		if b.earn(2 * fullBudget); b.left != fullBudget {
			t.Errorf("%d after more than the full budget was earned, want %d", b.left, fullBudget)
		}
	}
}
