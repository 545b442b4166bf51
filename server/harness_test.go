package server

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// start runs a server with cfg on a free port until the test ends, and then
// checks that it left no goroutine and no descriptor.
func start(t testing.TB, cfg Config, opts channels.Options) (*Server, *channels.Broker) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	descriptors := testenv.Descriptors(t)
	broker := channels.NewBroker(opts)
	cfg.Listen = "127.0.0.1:0"
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg, broker)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Close()
		testenv.Eventually(t, "all descriptors closed", func() bool { return testenv.Descriptors(t) <= descriptors })
		goleak.VerifyNone(t, leaks)
	})
	return s, broker
}

// startOver is start of a server that takes clients of a transport.
func startOver(t testing.TB, via ssetest.Transport, cfg Config, opts channels.Options) (*Server, *channels.Broker) {
	t.Helper()
	if via != ssetest.Plain {
		cfg = withTLS(t, cfg)
	}
	return start(t, cfg, opts)
}

// addressOf returns the address of the port for a transport.
func addressOf(s *Server, via ssetest.Transport) string {
	secure := ""
	if addr := s.TLSAddr(); addr != nil {
		secure = addr.String()
	}
	return via.Of(s.Addr().String(), secure)
}

// reach opens a connection of a transport, from an address unless that is nil.
func reach(s *Server, via ssetest.Transport, from net.IP) (*ssetest.Conn, error) {
	d := ssetest.Dialer{Via: via, Source: from, Deadline: time.Now().Add(patience)}
	return d.Dial(context.Background(), addressOf(s, via))
}

// client is one raw connection to the server under test.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// dial opens a connection that is closed when the test ends.
func dial(t testing.TB, s *Server) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

// subscribe opens a stream on target and reads its head and greeting.
func subscribe(t testing.TB, s *Server, target string) *client {
	t.Helper()
	return subscribeOver(t, ssetest.Plain, s, target)
}

// subscribeOver is subscribe over a transport.
func subscribeOver(t testing.TB, via ssetest.Transport, s *Server, target string) *client {
	t.Helper()
	c := openOver(t, via, s, target)
	c.want(":\n\n")
	return c
}

// openOver opens a stream on target over a transport and reads its head.
func openOver(t testing.TB, via ssetest.Transport, s *Server, target string) *client {
	t.Helper()
	conn, err := reach(s, via, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	answer, err := conn.Get(target)
	if err != nil || answer.Status != 200 {
		t.Fatalf("%v, GET %s: %+v, %v; want 200", via, target, answer, err)
	}
	return &client{t, conn, bufio.NewReader(answer.Body)}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reading a line after %q: %v", line, err)
	}
	return line
}

// skipTo reads lines up to one.
func (c *client) skipTo(line string) {
	c.t.Helper()
	for c.line() != line {
	}
}

// want reads as many bytes as text has, which they must equal.
func (c *client) want(text string) {
	c.t.Helper()
	got := make([]byte, len(text))
	for n := 0; n < len(got); {
		m, err := c.r.Read(got[n:])
		if n += m; err != nil || !strings.HasPrefix(text, string(got[:n])) {
			c.t.Fatalf("read %q, want %q (%v)", got[:n], text, err)
		}
	}
}

// publish publishes data and checks the number of receivers.
func publish(t testing.TB, b *channels.Broker, channel, data string, receivers int) {
	t.Helper()
	n, err := b.Publish(channel, channels.Event{Data: []byte(data)})
	if err != nil || n.Receivers != receivers {
		t.Fatalf("publishing %.40q on %s: %+v, %v; want %d receivers", data, channel, n, err, receivers)
	}
}

func sorted(names []string) []string {
	return slices.Sorted(slices.Values(names))
}
