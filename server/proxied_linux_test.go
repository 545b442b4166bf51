package server

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/netpoll"
	"millrace/internal/testenv"
)

// logLines keeps what is logged, as lines of JSON.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// find returns a field of the first line with msg, "" if there is none yet.
func (l *logLines) find(msg, field string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == msg {
			return fmt.Sprint(fields[field])
		}
	}
	return ""
}

// proxied is a Config for clients behind a proxy at 127.0.0.1.
func proxied(cfg Config) Config {
	cfg.ProxyProtocol = true
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	return cfg
}

const (
	askX       = "GET /x HTTP/1.1\r\nHost: test\r\n\r\n"
	v2Prefix   = "\r\n\r\n\x00\r\nQUIT\n"
	localProxy = v2Prefix + "\x20\x00\x00\x00"
)

func proxyLine(client string) string {
	return fmt.Sprintf("PROXY TCP4 %s 192.0.2.80 40000 80\r\n", client)
}

// proxyBlock is proxyLine in version 2, with fields of no concern behind.
func proxyBlock(client string) string {
	ip := netip.MustParseAddr(client).As4()
	return v2Prefix + "\x21\x11\x00\x17" + string(ip[:]) + "\xc0\x00\x02\x50" + "\x9c\x40" + "\x00\x50" + "\xea\x00\x08whatever"
}

// Ensure that a PROXY header and the request behind it are understood wherever
// they are cut into reads.
func TestProxyHeaderInPieces(t *testing.T) {
	h := turnByHand(t, proxied(Config{}), channels.Options{})
	for _, tt := range []struct{ header, peer string }{
		{proxyLine("203.0.113.7"), "203.0.113.7:40000"},
		{proxyBlock("203.0.113.7"), "203.0.113.7:40000"},
		{localProxy, "127.0.0.1:9"},
		{"PROXY UNKNOWN\r\n", "127.0.0.1:9"},
	} {
		text := tt.header + askX
		cuts := [][]string{{text}, strings.Split(text, "")}
		for i := range len(text) {
			for _, j := range []int{i, min(i+1, len(text)), len(tt.header), len(text) - 1} {
				cuts = append(cuts, []string{text[:min(i, j)], text[min(i, j):max(i, j)], text[max(i, j):]})
			}
		}
		for _, pieces := range cuts {
			ours, client := socketPair(t)
			fd := int32(ours)
			if err := h.open(fd, netpoll.PeerAt(netip.MustParseAddrPort("127.0.0.1:9")), false); err != nil {
				t.Fatal(err)
			}
			c := h.conn(fd)
			for _, piece := range pieces {
				if c.state == stateStream && piece != "" {
					t.Fatalf("a stream before the last of %q", pieces)
				}
				unixWrite(t, client, piece)
				h.on(fd, true, false)
			}
			if c.state != stateStream || h.peerOf(c).String() != tt.peer || len(h.unfinished.m) > 0 {
				t.Fatalf("%q: state %d, peer %v, %d unfinished heads; want a stream of %s", pieces, c.state, h.peerOf(c), len(h.unfinished.m), tt.peer)
			}
			h.end(c, reasonClient)
			unix.Close(client)
		}
	}
}

// Ensure that the log has the client and not the proxy.
func TestProxiedClientInLog(t *testing.T) {
	log := new(logLines)
	s, _ := start(t, proxied(Config{LogConnections: true, Logger: slog.New(slog.NewJSONHandler(log, nil))}), channels.Options{})
	c := dial(t, s)
	io.WriteString(c, proxyLine("203.0.113.7")+askX)
	c.isStream()
	c.Close()
	for _, msg := range []string{"client connected", "client disconnected"} {
		testenv.Eventually(t, "the log names the client", func() bool { return log.find(msg, "peer") == "203.0.113.7:40000" })
	}
}

// Ensure that the request head has its own bounds behind a PROXY header, and the
// header timeout covers both.
func TestProxyHeaderThenBadHead(t *testing.T) {
	patient, _ := start(t, proxied(Config{}), channels.Options{})
	s, _ := start(t, proxied(Config{HeaderTimeout: time.Second}), channels.Options{})
	for _, tt := range []struct {
		server       *Server
		text, status string
	}{
		{patient, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
		{patient, proxyLine("203.0.113.7"), "HTTP/1.1 400 Bad Request\r\n"},
		{patient, "GET / HTTP/1.1\r\nx: " + strings.Repeat("x", 17000), "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		{s, "GET / HTTP/1.1\r\n", "HTTP/1.1 408 Request Timeout\r\n"},
	} {
		c := dial(t, tt.server)
		io.WriteString(c, proxyBlock("203.0.113.7")+tt.text)
		if got := c.line(); got != tt.status {
			t.Errorf("a PROXY header and %.40q: %q, want %q", tt.text, got, tt.status)
		}
	}
	silent := make(map[string]*client)
	for _, text := range []string{"", "P", proxyLine("203.0.113.7")[:20], localProxy[:13], localProxy} {
		silent[text] = dial(t, s)
		io.WriteString(silent[text], text)
	}
	for text, c := range silent {
		c.wantClosed(fmt.Sprintf("%q and then nothing", text))
	}
	if got := s.Stats().Closed[reasonHeadLate.String()]; got != 5 {
		t.Errorf("%d connections ended by the header timeout, want 5", got)
	}
}

// Ensure that what is no PROXY header ends the connection at once, without an
// answer, and is counted and told.
func TestProxyHeaderBad(t *testing.T) {
	log := new(logLines)
	s, _ := start(t, proxied(Config{Logger: slog.New(slog.NewJSONHandler(log, nil))}), channels.Options{})
	bad := []string{
		askX, "\x16\x03\x01", "PROXY TCP4 1.2.3.4\r\n" + askX, v2Prefix + "\x21\x11\xff\xff", v2Prefix + "\x31",
		"PROXY UNKNOWN " + strings.Repeat("x", 200),
	}
	for _, text := range bad {
		c := dial(t, s)
		io.WriteString(c, text)
		c.wantClosed(fmt.Sprintf("%q", text))
	}
	testenv.Eventually(t, "all are counted", func() bool { return s.Stats().Closed[reasonProxyHeader.String()] == uint64(len(bad)) })
	testenv.Eventually(t, "the log says so", func() bool {
		return log.find("a connection is closed without an answer", "detail") == "not a PROXY header"
	})
}

// Ensure that nobody but a trusted proxy is heard.
func TestUntrustedProxy(t *testing.T) {
	log := new(logLines)
	s, _ := start(t, proxied(Config{Loops: 2, Logger: slog.New(slog.NewJSONHandler(log, nil))}), channels.Options{})
	for range 20 {
		c := dialFrom(t, s, net.IPv4(127, 1, 0, 9))
		io.WriteString(c, proxyLine("10.0.0.1")+askX)
		c.wantClosed("an untrusted peer")
	}
	stats := s.Stats()
	if got := stats.Closed[reasonNoProxy.String()]; got != 20 || stats.Accepted != 20 || stats.Connections != 0 {
		t.Errorf("%d counted as untrusted, %d accepted, %d open; want 20, 20, 0", got, stats.Accepted, stats.Connections)
	}
	testenv.Eventually(t, "the log says so", func() bool {
		return strings.HasPrefix(log.find("a connection is closed without an answer", "peer"), "127.1.0.9:")
	})
	c := dial(t, s)
	io.WriteString(c, proxyLine("10.0.0.1")+askX)
	if !c.isStream() {
		t.Error("a trusted proxy is turned away")
	}
}

// Ensure that bounds count the client that the proxy names, and neither the
// proxy nor what is its own.
func TestClientBehindProxyIsCounted(t *testing.T) {
	const most = 3
	s, _ := start(t, proxied(Config{Loops: 2, MaxConnectionsPerIP: most}), channels.Options{})
	ask := func(header string) (*client, bool) {
		c := dial(t, s)
		io.WriteString(c, header+askX)
		return c, c.isStream()
	}
	var last *client
	for n := range 20 {
		client := fmt.Sprintf("203.0.113.%d", n)
		for i := range 2 * most {
			header := proxyLine(client)
			if i%2 > 0 {
				header = proxyBlock(client)
			}
			c, open := ask(header)
			if open != (i < most) {
				t.Fatalf("connection %d of %s is a stream: %v, want %v", i, client, open, i < most)
			}
			if open {
				last = c
			}
		}
	}
	for _, header := range []string{localProxy, "PROXY UNKNOWN\r\n"} {
		for range 2 * most {
			if _, open := ask(header); !open {
				t.Fatalf("%q is turned away", header)
			}
		}
	}
	last.Close()
	testenv.Eventually(t, "there is room again", func() bool { _, open := ask(proxyLine("203.0.113.19")); return open })
}

// isStream reads the head of an answer, and returns what begins does.
func (c *client) isStream() (open bool) {
	c.t.Helper()
	if status := c.line(); status != "HTTP/1.1 200 OK\r\n" {
		c.t.Fatalf("status line %q, want 200", status)
	}
	c.skipTo("\r\n")
	open, err := begins(c.r)
	if err != nil {
		c.t.Fatal(err)
	}
	return open
}

// wantClosed reads the end of the connection and nothing before it.
func (c *client) wantClosed(what string) {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if timeout, ok := err.(net.Error); len(rest) > 0 || ok && timeout.Timeout() {
		c.t.Errorf("%s: %q and %v, want the end of the connection", what, rest, err)
	}
}
