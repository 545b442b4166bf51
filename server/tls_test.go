package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/testenv"
	"millrace/internal/tlsrecord"
)

// withTLS gives cfg a port for TLS.
func withTLS(t testing.TB, cfg Config) Config {
	t.Helper()
	cert, key := testenv.Certificate(t, "localhost", "127.0.0.1")
	store, err := certs.Load(slog.New(slog.DiscardHandler), certs.Files{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSListen = "127.0.0.1:0"
	if cfg.TLS, err = handshake.New(handshake.Config{Certificate: store.Get, Protocols: []string{"h2", "http/1.1"}, Computing: 2}); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// dialTLS is dial of the port for TLS.
func dialTLS(t testing.TB, s *Server, cfg *tls.Config) *client {
	t.Helper()
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify = true
	conn, err := tls.Dial("tcp", s.TLSAddr().String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

// ask opens a stream on target and reads its head and greeting.
func (c *client) ask(target string) {
	c.t.Helper()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target)
	if status := c.line(); status != "HTTP/1.1 200 OK\r\n" {
		c.t.Fatalf("GET %s: status line %q, want 200", target, status)
	}
	c.skipTo("\r\n")
	c.want(":\n\n")
}

// Ensure that a TLS stream gets what a plain one gets, and an end that is none of somebody
// else's making, in whatever suite.
func TestTLSStream(t *testing.T) {
	s, b := start(t, withTLS(t, Config{Loops: 2, Keepalive: time.Minute, Drain: time.Second}), channels.Options{})
	plain, secure := subscribe(t, s, "/x"), dialTLS(t, s, &tls.Config{})
	secure.ask("/x")
	for i := range 20 {
		publish(t, b, "/x", fmt.Sprint(i), 2)
	}
	large := strings.Repeat("x", 50_000) // four records
	publish(t, b, "/x", large, 2)
	for _, c := range []*client{plain, secure} {
		for i := range 20 {
			c.want(fmt.Sprintf("data: %d\n\n", i))
		}
		c.want("data: " + large + "\n\n")
	}
	if n := s.Stats(); n.Secure != 1 || n.Handshakes != 1 || n.Handshaking != 0 {
		t.Errorf("%d TLS connections, %d handshakes, %d under way; want 1, 1, none", n.Secure, n.Handshakes, n.Handshaking)
	}
	drained := make(chan struct{})
	go func() { s.Drain(); close(drained) }()
	for _, c := range []*client{plain, secure} {
		if line := c.line(); !strings.HasPrefix(line, "retry: ") {
			t.Errorf("at the drain a client reads %q", line)
		}
		c.want("\n")
		if _, err := c.r.ReadByte(); err != io.EOF { // which crypto/tls says only after close_notify
			t.Errorf("the end is %v, want %v", err, io.EOF)
		}
		c.Close()
	}
	<-drained
	if n := s.Stats().Secure; n != 0 {
		t.Errorf("%d TLS connections are left", n)
	}
}

// Ensure that requests are answered over TLS as they are in the clear.
func TestTLSAnswers(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{Hosts: []string{"test"}}), channels.Options{})
	for request, want := range map[string]string{
		"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n":                "HTTP/1.1 200 OK\r\n",
		"GET /x HTTP/1.1\r\nHost: other\r\n\r\n":                     "HTTP/1.1 421 Misdirected Request\r\n",
		"POST /x HTTP/1.1\r\nHost: test\r\n\r\n":                     "HTTP/1.1 405 Method Not Allowed\r\n",
		"GET /" + strings.Repeat("x", 20_000) + " HTTP/1.1\r\n\r\n":  "HTTP/1.1 414 Request URI Too Long\r\n",
		"GET /x HTTP/1.1\r\nHost: test\r\nAccept: text/html\r\n\r\n": "HTTP/1.1 406 Not Acceptable\r\n",
	} {
		c := dialTLS(t, s, &tls.Config{})
		io.WriteString(c, request)
		answer, err := io.ReadAll(c.r)
		if !strings.HasPrefix(string(answer), want) || err != nil {
			t.Errorf("%.60q: %.60q, %v; want %q and the end", request, answer, err, want)
		}
	}
}

// keyLog takes a client's traffic secrets.
type keyLog struct{ bytes.Buffer }

func (k *keyLog) secret(t testing.TB, label string) []byte {
	for line := range strings.Lines(k.String()) {
		if fields := strings.Fields(line); fields[0] == label {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no %s", label)
	return nil
}

// rawClient is a TLS client whose records the test makes.
type rawClient struct {
	t testing.TB
	net.Conn
	state  tlsrecord.State
	sealed []byte // read and not opened
	plain  string // opened and not looked at
}

func dialRaw(t testing.TB, s *Server) *rawClient {
	t.Helper()
	var keys keyLog
	c := dialTLS(t, s, &tls.Config{KeyLogWriter: &keys, SessionTicketsDisabled: true})
	conn := c.Conn.(*tls.Conn)
	r := &rawClient{t: t, Conn: conn.NetConn()}
	if err := r.state.Init(conn.ConnectionState().CipherSuite, keys.secret(t, "SERVER_TRAFFIC_SECRET_0"), keys.secret(t, "CLIENT_TRAFFIC_SECRET_0"), 0); err != nil {
		t.Fatal(err)
	}
	return r
}

// want reads until text has come.
func (r *rawClient) want(text string) {
	r.t.Helper()
	got := ""
	for buf := make([]byte, 4096); !strings.Contains(got, text); {
		n, err := r.Read(buf)
		if err != nil {
			r.t.Fatalf("after %q: %v", got, err)
		}
		r.sealed = append(r.sealed, buf[:n]...)
		plain, used, err := r.state.Take(r.sealed)
		if got += string(plain); err != nil && !strings.Contains(got, text) {
			r.t.Fatalf("after %q: %v", got, err)
		}
		r.sealed = append([]byte(nil), r.sealed[used:]...)
	}
}

// Ensure that a request arrives in records that are cut anywhere, KeyUpdates are answered,
// data behind them is understood, and a record that is wrong is answered by its alert.
func TestTLSRecords(t *testing.T) {
	s, b := start(t, withTLS(t, Config{Loops: 1}), channels.Options{})
	r := dialRaw(t, s)
	request := r.state.AppendData(nil, []byte("GET /x HTTP/1.1\r\nHo"))
	request = r.state.AppendKeyUpdate(request, true)
	request = r.state.AppendData(request, []byte("st: test\r\n\r\n"))
	for _, c := range request {
		r.Write([]byte{c})
	}
	r.want(":\n\n")
	publish(t, b, "/x", "behind a KeyUpdate", 1)
	r.want("data: behind a KeyUpdate\n\n")
	for range 10 {
		r.Write(r.state.AppendKeyUpdate(nil, true))
	}
	publish(t, b, "/x", "behind more", 1)
	r.want("data: behind more\n\n")
	wrong := r.state.AppendData(nil, []byte("x"))
	wrong[len(wrong)-1] ^= 1
	r.Write(wrong)
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		r.sealed = append(r.sealed, buf[:n]...)
		if err != nil {
			break
		}
	}
	_, _, err := r.state.Take(r.sealed)
	if e, ok := err.(*tlsrecord.Error); !ok || !e.ByPeer || e.Alert != tlsrecord.BadRecordMAC {
		t.Errorf("a wrong record is answered by %v, want alert %d", err, tlsrecord.BadRecordMAC)
	}
}

// Ensure that TLS clients that stop reading, and read on at last, miss nothing and open every
// record: whatever a socket takes of one, its rest follows. KeyUpdates come meanwhile.
func TestTLSSlowReaders(t *testing.T) {
	const clients, events, size = 8, 300, 20_000
	s, b := start(t, withTLS(t, Config{Loops: 2, Keepalive: 20 * time.Millisecond, SlowTimeout: time.Minute}),
		channels.Options{History: events})
	all := make([]*rawClient, clients)
	for i := range all {
		r := dialRaw(t, s)
		r.Write(r.state.AppendData(nil, []byte("GET /x HTTP/1.1\r\nHost: test\r\n\r\n")))
		r.want("\n\n")
		all[i] = r
	}
	data := func(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", size)) }
	for i := range events {
		publish(t, b, "/x", data(i), clients)
		if i%50 == 0 {
			for _, r := range all {
				r.Write(r.state.AppendKeyUpdate(nil, true))
			}
		}
	}
	testenv.Eventually(t, "all are behind", func() bool { return s.Stats().Behind == clients })
	for _, r := range all {
		for i := range events {
			r.wantEvent(data(i))
		}
	}
	testenv.Eventually(t, "none is behind", func() bool { return s.Stats().Behind == 0 && s.sealed.Load() == 0 })
}

// wantEvent reads the next event, passing over comments.
func (r *rawClient) wantEvent(data string) {
	r.t.Helper()
	for {
		if event, rest, ok := strings.Cut(r.plain, "\n\n"); ok {
			r.plain = rest
			if i := strings.Index(event, "data: "); i >= 0 && !strings.Contains(event, "event: millrace.") {
				if event, _, _ = strings.Cut(event[i+len("data: "):], "\n"); event != data {
					r.t.Fatalf("an event has %.40q, want %.40q", event, data)
				}
				return
			}
			continue
		}
		buf := make([]byte, 64<<10)
		n, err := r.Read(buf)
		if err != nil {
			r.t.Fatalf("waiting for %.40q: %v", data, err)
		}
		r.sealed = append(r.sealed, buf[:n]...)
		plain, used, err := r.state.Take(r.sealed)
		if r.plain += string(plain); err != nil {
			r.t.Fatalf("waiting for %.40q: %v", data, err)
		}
		r.sealed = append([]byte(nil), r.sealed[used:]...)
	}
}

// hangsUp tells whether the server ends the connection.
func (r *rawClient) hangsUp() bool {
	_, err := io.Copy(io.Discard, r.Conn)
	return err == nil || !errors.Is(err, os.ErrDeadlineExceeded)
}

// Ensure that what a client has kept or computed behind its request, without any data for
// the server, is bounded: parts of records that never end, and KeyUpdates between bytes.
func TestTLSIdleTalk(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{Loops: 1}), channels.Options{})
	request := []byte("GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
	open := func() *rawClient {
		r := dialRaw(t, s)
		r.Write(r.state.AppendData(nil, request))
		r.want(":\n\n")
		return r
	}
	part := func(r *rawClient) []byte { return r.state.AppendData(nil, make([]byte, 10_000))[:9_000] }

	r := open()
	r.Write(part(r))
	if !r.hangsUp() {
		t.Error("a part of a record that never ends is kept")
	}
	r = dialRaw(t, s)
	r.Write(append(r.state.AppendData(nil, request), part(r)...))
	r.want("HTTP/1.1 400 Bad Request\r\n")

	r = open()
	var flood []byte
	for range 1000 {
		for range 30 {
			flood = r.state.AppendKeyUpdate(flood, false)
		}
		flood = r.state.AppendData(flood, []byte("x"))
	}
	go r.Write(flood)
	testenv.Eventually(t, "a flood of KeyUpdates is ended", func() bool { return s.Stats().Closed[reasonTalks.String()] == 2 })
	testenv.Eventually(t, "nothing is left", func() bool { n := s.Stats(); return n.Streams == 0 && n.Secure <= 1 })

	r = open() // what a client may say in parts
	for _, b := range r.state.AppendKeyUpdate(nil, true) {
		r.Write([]byte{b})
	}
	if n := s.Stats().Closed[reasonTalks.String()]; n != 2 {
		t.Errorf("%d connections were ended for talking, want 2", n)
	}
}

// Ensure that a stream with the rest of a record is ended when the rests of all are more than
// is kept of them, and that its own is counted no longer.
func TestTLSRestsAreBounded(t *testing.T) {
	s, b := start(t, withTLS(t, Config{Loops: 1}), channels.Options{})
	s.sealed.Add(maxSealed) // of others
	r := dialRaw(t, s)
	r.Write(r.state.AppendData(nil, []byte("GET /x HTTP/1.1\r\nHost: test\r\n\r\n")))
	r.want(":\n\n")
	testenv.Eventually(t, "the stream is ended", func() bool {
		if n := s.Stats(); n.Streams > 0 && n.Behind == 0 {
			b.Publish("/x", channels.Event{Data: bytes.Repeat([]byte("x"), 50_000)}) // to nobody, if it has just been ended
		}
		return s.Stats().Closed[reasonSlow.String()] == 1
	})
	if n := s.sealed.Load(); n != maxSealed {
		t.Errorf("%d bytes of rests are counted, want the %d of others", n, maxSealed)
	}
}
