package ports

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/testenv"
)

// certificate returns a certificate, and fails or panics for the names "none" and "panic".
func certificate(t testing.TB) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(testenv.Certificate(t, "localhost"))
	if err != nil {
		t.Fatal(err)
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		switch hello.ServerName {
		case "panic":
			panic("a fault")
		case "none":
			return nil, errors.New("no certificate")
		}
		return &pair, nil
	}
}

// Ensure that handshakes are counted by what they came to, that a client in the clear hears
// why, and that neither a client nor a panic ends anything but the one connection.
func TestHandshakesOfPorts(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var log strings.Builder
	port := NewTLS("test", slog.New(slog.NewTextHandler(&log, nil)), certificate(t), "http/1.1")
	const inClear = "TLS only\n"
	client := func(cfg *tls.Config) func(net.Conn) error {
		return func(conn net.Conn) error { return tls.Client(conn, cfg).Handshake() }
	}
	says := func(text string) func(net.Conn) error {
		return func(conn net.Conn) error {
			io.WriteString(conn, text)
			answer, _ := io.ReadAll(conn)
			return errors.New(string(answer))
		}
	}
	for _, tt := range []struct {
		name string
		do   func(net.Conn) error
		kind string // of the failure; empty for success
		want string // in the client's error
	}{
		{"TLS 1.3", client(&tls.Config{InsecureSkipVerify: true}), "", ""},
		{"TLS 1.2", client(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}), "version", "protocol version"},
		{"h2 only", client(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), "protocol", "no application protocol"},
		{"no trust", client(&tls.Config{ServerName: "localhost"}), "refused", "unknown authority"},
		{"HTTP", says("GET / HTTP/1.1\r\n\r\n"), "plain", inClear},
		{"RESP", says("*1\r\n$4\r\nPING\r\n"), "plain", inClear},
		{"inline", says("ping\r\n"), "plain", inClear},
		{"garbage", says("\x00\x01\x02\x03\x04\x05"), "garbage", ""},
		{"a panic", client(&tls.Config{InsecureSkipVerify: true, ServerName: "panic"}), "panic", ""},
		{"nothing", func(conn net.Conn) error { return conn.Close() }, "left", ""},
		{"silence", func(net.Conn) error { return nil }, "timeout", ""},
	} {
		before := port.Stats()
		ours, theirs := testenv.Connection(t)
		ours.SetDeadline(time.Now().Add(testenv.Patience))
		if tt.kind == "timeout" {
			ours.SetReadDeadline(time.Now())
		}
		done := make(chan error, 1)
		go func() { done <- tt.do(theirs) }()
		conn := port.Server(ours, inClear)
		err := conn.Handshake()
		if err != nil {
			if _, again := conn.Read(make([]byte, 1)); again != err {
				t.Errorf("%s: reading after the handshake has failed with %v: %v", tt.name, err, again)
			}
		}
		conn.Close()
		if told := <-done; tt.want != "" && (told == nil || !strings.Contains(told.Error(), tt.want)) {
			t.Errorf("%s: the client's error is %v, want %q in it", tt.name, told, tt.want)
		}
		theirs.Close()
		after := port.Stats()
		if (err == nil) != (tt.kind == "") || (after.Handshakes > before.Handshakes) != (err == nil) {
			t.Errorf("%s: %v, %d handshakes after %d", tt.name, err, after.Handshakes, before.Handshakes)
		}
		for kind, n := range after.Failures {
			if want := before.Failures[kind]; (kind == tt.kind) != (n == want+1) || kind != tt.kind && n != want {
				t.Errorf("%s: %d failures of kind %s after %d: %v", tt.name, n, kind, want, err)
			}
		}
	}
	if n := strings.Count(log.String(), "a TLS handshake at the test port has failed"); n == 0 || n > 2 {
		t.Errorf("the log tells %d times of what clients did within a second:\n%s", n, &log)
	}
}

// Ensure that sessions are resumed at another port that has the same keys of tickets.
func TestTicketKeysOfPorts(t *testing.T) {
	get, keys := certificate(t), [][32]byte{{1}}
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for i, tt := range []struct {
		keys    [][32]byte
		resumed bool
	}{{keys, false}, {keys, true}, {nil, false}} {
		port := NewTLS("test", slog.New(slog.DiscardHandler), get)
		if tt.keys != nil {
			port.SetTicketKeys(tt.keys)
		}
		ours, theirs := testenv.Connection(t)
		server, client := port.Server(ours, ""), tls.Client(theirs, cfg)
		go io.WriteString(server, "x") // behind the ticket
		if _, err := client.Read(make([]byte, 1)); err != nil || client.ConnectionState().DidResume != tt.resumed {
			t.Errorf("port %d: resumed is %t, %v; want %t", i, client.ConnectionState().DidResume, err, tt.resumed)
		}
		client.Close()
		server.Close()
	}
}

// Ensure that the end of a connection does not wait for a client that takes nothing.
func TestCloseDoesNotWait(t *testing.T) {
	get := certificate(t)
	for name, end := range map[string]func(*SecureConn) error{"close": (*SecureConn).Close, "close for writing": (*SecureConn).CloseWrite} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
			go func() {
				client.Handshake()
				client.Read(make([]byte, 1)) // one write, and nothing more
			}()
			server := NewTLS("test", slog.New(slog.DiscardHandler), get).Server(ours, "")
			if _, err := io.WriteString(server, "x"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			end(server)
			if took := time.Since(began); took > farewellTime {
				t.Errorf("%s took %v, want %v at most", name, took, farewellTime)
			}
		})
	}
}
