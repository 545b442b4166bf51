package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/netpoll"
	"millrace/internal/testenv"
)

// Ensure that failures are counted by kind, and that a client hears why if it can.
func TestTLSFailures(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{HeaderTimeout: time.Second}), channels.Options{})
	raw := func(text string) string {
		conn, err := net.Dial("tcp", s.TLSAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, text)
		answer, _ := io.ReadAll(conn)
		return string(answer)
	}
	leave := func(text string) string {
		conn, err := net.Dial("tcp", s.TLSAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, text)
		return ""
	}
	for _, tt := range []struct {
		name    string
		do      func() string
		answer  string // it begins with that
		failure string
	}{
		{"plain HTTP", func() string { return raw("GET /x HTTP/1.1\r\nHost: test\r\n\r\n") }, "HTTP/1.1 400 Bad Request\r\n", "plain"},
		{"plain HTTP, one byte", func() string { return raw("G") }, "HTTP/1.1 400 Bad Request\r\n", "plain"},
		{"garbage", func() string { return raw("\x00\x01\x02garbage") }, "", "garbage"},
		{"a record that is too long", func() string { return raw("\x16\x03\x01\xff\xff") }, "", "garbage"},
		{"SSH", func() string { return raw("\x16\x04\x01\x00\x05hello") }, "", "garbage"},
		{"nothing", func() string { return raw("") }, "", "timeout"},
		{"half a ClientHello", func() string { return raw("\x16\x03\x01\x02\x00\x01") }, "", "timeout"},
		{"half a handshake", func() string { return raw("\x16\x03\x01\x00\x01\x01") }, "", "timeout"},
		{"a ClientHello and no more", func() string { return raw(clientHello(t)) }, "\x16\x03\x03", "timeout"},
		{"half a ClientHello, and gone", func() string { return leave("\x16\x03\x01\x02\x00\x01") }, "", "left"},
		{"half a handshake, and gone", func() string { return leave("\x16\x03\x01\x00\x01\x01") }, "", "left"},
		{"a ClientHello, and gone", func() string { return leave(clientHello(t)) }, "", "left"},
		{"a message that is no ClientHello", func() string { return raw("\x16\x03\x01\x00\x04\x0b\x00\x00\x00") }, "\x15\x03\x01\x00\x02\x02", "protocol"},
		{"TLS 1.2", func() string {
			_, err := tls.Dial("tcp", s.TLSAddr().String(), &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true})
			return fmt.Sprint(err)
		}, "remote error: tls: protocol version not supported", "version"},
		{"a certificate that is not trusted", func() string {
			_, err := tls.Dial("tcp", s.TLSAddr().String(), &tls.Config{ServerName: "localhost"})
			return fmt.Sprint(err)
		}, "tls: failed to verify certificate", "refused"},
	} {
		before := s.Stats().HandshakeFailures[tt.failure]
		if answer := tt.do(); !strings.HasPrefix(answer, tt.answer) || tt.answer == "" && answer != "" {
			t.Errorf("%s: answered by %q, want %q", tt.name, answer, tt.answer)
		}
		testenv.Eventually(t, tt.name+" is counted as "+tt.failure, func() bool { return s.Stats().HandshakeFailures[tt.failure] == before+1 })
	}
	testenv.Eventually(t, "nothing is left", func() bool { n := s.Stats(); return n.Connections == 0 && n.Handshaking == 0 && n.Secure == 0 })
}

// clientHello returns the first record of a client.
func clientHello(t testing.TB) string {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go tls.Client(theirs, &tls.Config{InsecureSkipVerify: true}).Handshake()
	record := make([]byte, 1<<14)
	n, err := io.ReadAtLeast(ours, record, 5)
	if err == nil {
		var more int
		more, err = io.ReadFull(ours, record[n:5+int(record[3])<<8+int(record[4])])
		n += more
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(record[:n])
}

// Ensure that a client whose place goes to another in its handshake, or before it, counts as
// one whose handshake has failed; and one that only looked whether the port is open does not.
func TestTLSPlaceNeeded(t *testing.T) {
	h := turnByHand(t, withTLS(t, Config{}), channels.Options{})
	failed := func() uint64 { return h.server.Stats().HandshakeFailures["crowded"] }
	for i, sent := range []string{"", "\x16\x03\x01\x02\x00\x01", clientHello(t)} {
		ours, theirs := socketPair(t)
		defer unix.Close(theirs)
		if err := h.open(int32(ours), netpoll.Peer{}, true); err != nil {
			t.Fatal(err)
		}
		unix.Write(theirs, []byte(sent))
		h.on(int32(ours), true, false)
		*h.time += crowdPatience + tick
		h.now = *h.time
		if !h.makeRoom() || failed() != uint64(i+1) {
			t.Errorf("after %d bytes of a client whose place is needed: %d failures, want %d", len(sent), failed(), i+1)
		}
	}
	ours, theirs := socketPair(t)
	if err := h.open(int32(ours), netpoll.Peer{}, true); err != nil {
		t.Fatal(err)
	}
	unix.Close(theirs)
	h.on(int32(ours), true, false)
	if n := h.server.Stats(); n.Connections != 0 || n.HandshakeFailures["left"] != 0 || n.Handshaking != 0 {
		t.Errorf("after a client that said nothing and has left: %+v", n)
	}
}

// Ensure that a panic fails the one handshake in which it is, and is told with its stack.
func TestTLSPanic(t *testing.T) {
	var log bytes.Buffer
	cfg := withTLS(t, Config{Loops: 1, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	cert, key := testenv.Certificate(t, "localhost")
	store, err := certs.Load(slog.New(slog.DiscardHandler), certs.Files{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLS, err = handshake.New(handshake.Config{Computing: 1, Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "fault" {
			panic("a fault")
		}
		return store.Get(hello)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, b := start(t, cfg, channels.Options{})
	c := dialTLS(t, s, &tls.Config{})
	c.ask("/x")
	for range 3 {
		if _, err := tls.Dial("tcp", s.TLSAddr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "fault"}); err == nil {
			t.Fatal("a handshake has succeeded in a panic")
		}
	}
	testenv.Eventually(t, "the failures are counted", func() bool { return s.Stats().HandshakeFailures["panic"] == 3 })
	dialTLS(t, s, &tls.Config{}).ask("/x")
	publish(t, b, "/x", "all goes on", 2)
	c.want("data: all goes on\n\n")
	s.Close() // nothing is logged any more
	if text := log.String(); strings.Count(text, "a TLS handshake has failed: panic") != 1 || !strings.Contains(text, "a fault") || !strings.Contains(text, "TestTLSPanic.func") {
		t.Errorf("the log has\n%s", text)
	}
}

// Ensure that handshakes that stall give way to others when there are as many as may be.
func TestTLSHandshakesBounded(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{Loops: 1, TLSHandshakes: 3}), channels.Options{})
	hello := []byte("\x16\x03\x01\x00\x01\x01") // the beginning of one
	for range 10 {
		conn, err := net.Dial("tcp", s.TLSAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(hello)
	}
	testenv.Eventually(t, "those above the bound are gone", func() bool {
		n := s.Stats()
		return n.Handshaking == 3 && n.HandshakeFailures["crowded"] == 7
	})
	dialTLS(t, s, &tls.Config{}).ask("/x")
}

// Ensure that a client cannot have a long line logged.
func TestTLSFailureLogIsShort(t *testing.T) {
	var log bytes.Buffer
	s, _ := start(t, withTLS(t, Config{Loops: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}), channels.Options{})
	protocols := make([]string, 60)
	for i := range protocols {
		protocols[i] = strings.Repeat("\x01", 200)
	}
	if conn, err := tls.Dial("tcp", s.TLSAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}); err == nil {
		conn.Close()
		t.Fatal("a handshake without a common protocol has succeeded")
	}
	testenv.Eventually(t, "the failure is counted", func() bool { return s.Stats().HandshakeFailures["protocol"] == 1 })
	s.Close() // nothing is logged any more
	if n := log.Len(); n == 0 || n > 2000 {
		t.Errorf("the log has %d bytes, want a short line", n)
	}
}
