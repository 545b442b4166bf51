package server

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that a PROXY header comes before TLS, as it comes before a request in the clear on the
// other listener, and names the client of both; and that TLS without one is refused.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	log := new(logLines)
	s, b := start(t, withTLS(t, proxied(Config{LogConnections: true, Logger: slog.New(slog.NewJSONHandler(log, nil))})), channels.Options{})
	connect := func(addr net.Addr, header string) net.Conn {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, header)
		return conn
	}
	streams := 0
	for _, header := range []string{proxyLine("203.0.113.7"), proxyBlock("203.0.113.7"), localProxy} {
		secure := tls.Client(connect(s.TLSAddr(), header), &tls.Config{InsecureSkipVerify: true})
		for _, conn := range []net.Conn{connect(s.Addr(), header), secure} {
			c := &client{t, conn, bufio.NewReader(conn)}
			c.ask("/x")
			streams++
			publish(t, b, "/x", "behind a header", streams)
			c.want("data: behind a header\n\n")
		}
	}
	testenv.Eventually(t, "the log names the client of each", func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		return strings.Count(log.text.String(), `"msg":"client connected","peer":"203.0.113.7:40000"`) == 4
	})
	if n := s.Stats(); n.Secure != 3 || n.Streams != 6 {
		t.Errorf("%d streams, %d with TLS; want 6, 3", n.Streams, n.Secure)
	}

	if err := tls.Client(connect(s.TLSAddr(), ""), &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("a handshake without a PROXY header has succeeded")
	}
}
