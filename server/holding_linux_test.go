package server

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// hold has a server's streams be served by a successor before the switch.
func hold(t *testing.T, s *Server, opts channels.Options) *succession {
	t.Helper()
	u := succeed(t, s, opts)
	for i := range s.Loops() {
		u.hand(i)
		u.commit(i)
	}
	return u
}

// wantNothing wants that nothing has come, and that the stream is open.
func (c *client) wantNothing() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if b, err := c.r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("read %q, %v; want nothing", b, err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
}

// Ensure that a stream that has moved gets messages, and nothing else, until the switch: not a
// ping, not its end by age or by order. Streams that begin at the successor get all of that.
func TestHeldStreams(t *testing.T) {
	opts := channels.Options{}
	for _, tt := range []struct {
		name string
		cfg  Config
		ends func(t *testing.T, c *client) // waits for what a stream gets that is not held
		kick bool
	}{
		{"ping", Config{Keepalive: 50 * time.Millisecond}, func(t *testing.T, c *client) { c.skipTo(":keepalive\n") }, false},
		{"lifetime", Config{MaxLifetime: 300 * time.Millisecond}, func(t *testing.T, c *client) { c.wantEnd() }, false},
		{"kick", Config{}, func(t *testing.T, c *client) { c.skipTo("\n"); c.wantEnd() }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Loops = 1
			s, _ := start(t, tt.cfg, opts)
			c := subscribe(t, s, "/a")
			u := hold(t, s, opts)
			fresh := subscribe(t, u.next, "/b")
			if tt.kick {
				if n, err := u.next.EndStreams(t.Context(), "/a", ""); n != 0 || err != nil {
					t.Errorf("%d streams ended before the switch, %v; want none", n, err)
				}
			} else {
				tt.ends(t, fresh)
			}
			if _, err := u.broker.Publish("/a", channels.Event{Data: []byte("event")}); err != nil {
				t.Fatal(err)
			}
			c.skipPings("data: event\n")
			c.want("\n")
			c.wantNothing()
			u.over()
			tt.ends(t, c)
		})
	}
}

// skipPings skips what came before the handover, and wants a line.
func (c *client) skipPings(want string) {
	c.t.Helper()
	line := c.line()
	for line == ":keepalive\n" || line == "\n" {
		line = c.line()
	}
	if line != want {
		c.t.Fatalf("read %q, want %q", line, want)
	}
}

// wantEnd wants the end of the stream, with nothing before it but pings.
func (c *client) wantEnd() {
	c.t.Helper()
	rest := new(strings.Builder)
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			if strings.ReplaceAll(rest.String(), ":keepalive\n\n", "") != "" || errors.Is(err, os.ErrDeadlineExceeded) {
				c.t.Fatalf("read %q, %v; want the end", rest, err)
			}
			return
		}
		rest.WriteByte(b)
	}
}

// Ensure that a gap is told at its place, that no stream gets what comes after it before, and that
// none is ended as slow since it waits there.
func TestHeldGap(t *testing.T) {
	opts := channels.Options{Backplane: lateEngine{"/late"}, MaxEventBytes: 4 << 20}
	s, broker := start(t, Config{Loops: 1, SlowTimeout: time.Minute}, opts)
	deliver := func(b *channels.Broker, data string) {
		if _, err := b.Feed().Deliver("/a", channels.Event{Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	quick, slow := subscribe(t, s, "/a"), subscribe(t, s, "/a")
	long := strings.Repeat("x", 3<<20)
	deliver(broker, long)
	quick.want("data: " + long + "\n\n")
	u := hold(t, s, opts)
	deliver(broker, "before")
	broker.Feed().Interrupted("/a")
	deliver(broker, "after")
	quick.want("data: before\n\n")
	slow.want("data: " + long + "\n\ndata: before\n\n")
	if err := u.tap.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := u.next.Probe(t.Context()); err != nil { // and the loop has had its turn
		t.Fatal(err)
	}
	quick.wantNothing()
	slow.wantNothing()
	u.stall()
	u.over()
	const gap = "event: millrace.gap\ndata: {\"reason\":\"backplane\",\"oldest\":\"\",\"head\":\"\"}\n\n"
	for _, c := range []*client{quick, slow} {
		c.want(gap + "data: after\n\n")
	}
}

// stall lets an hour pass for the stream that waits at a gap, since it is behind.
func (u *succession) stall() {
	u.t.Helper()
	l := u.next.loops[0]
	testenv.Eventually(u.t, "the stream stands at the gap", func() bool {
		n, _ := ask(u.t.Context(), l, func(l *loop) int { return len(l.stalled) })
		return n > 0
	})
	n, _ := ask(u.t.Context(), l, func(l *loop) int {
		s, now := l.at(l.stalled[0]), l.now
		l.now += time.Hour
		for range 2 {
			l.heldDue(s)
		}
		if l.now = now; s.state == stateStream {
			l.schedule(l.connOf(s), now+heldPause)
		}
		return len(l.stalled)
	})
	if n != 1 {
		u.t.Errorf("%d streams stand at the gap, want 1", n)
	}
}

// Ensure that a stream that waits for an engine goes on waiting at the successor, and begins
// there after the switch.
func TestHeldWaiter(t *testing.T) {
	opts := channels.Options{Backplane: lateEngine{"/late"}}
	s, _ := start(t, Config{Loops: 1}, opts)
	c := dial(t, s)
	c.Write([]byte("GET /late HTTP/1.1\r\nHost: test\r\n\r\n"))
	c.skipTo(":\n") // which it is greeted with after headPatience
	c.want("\n")
	u := hold(t, s, opts)
	c.wantNothing()
	if got := u.next.Stats(); got.Streams != 1 {
		t.Errorf("%d streams at the successor, want 1", got.Streams)
	}
	u.over()
	u.to.Feed().Followed(0, nil, "/late")
	c.skipTo("event: millrace.gap\n")
}
