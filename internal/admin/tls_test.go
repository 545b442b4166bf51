package admin

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/channels"
	"millrace/internal/ports"
	"millrace/internal/resp"
	"millrace/internal/testenv"
)

// withTLS returns how a port takes TLS, and the file of its certificate, which is for
// localhost.
func withTLS(t testing.TB) (_ *ports.TLS, certFile string) {
	t.Helper()
	certFile, keyFile := testenv.Certificate(t, "localhost")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
	return ports.NewTLS("admin", slog.New(slog.DiscardHandler), get), certFile
}

var trusting = &tls.Config{InsecureSkipVerify: true}

// Ensure that redis-cli publishes and subscribes over TLS as it does in the clear, and hears
// why it cannot without.
func TestRedisCLIWithTLS(t *testing.T) {
	cli := testenv.Need(t, "redis-cli")
	secure, ca := withTLS(t)
	broker := channels.NewBroker(channels.Options{})
	s := serve(t, Config{Broker: broker.Ports(), TLS: secure, Password: "secret"})
	_, port, _ := net.SplitHostPort(s.Addr().String())
	run := func(args ...string) string {
		out, _ := exec.Command(cli, append([]string{"-h", "localhost", "-p", port, "--no-auth-warning"}, args...)...).CombinedOutput()
		return string(out)
	}
	with := []string{"--tls", "--cacert", ca, "-a", "secret"}
	large := strings.Repeat("x", 50_000) // four records
	listener := exec.Command(cli, append([]string{"-h", "localhost", "-p", port, "--no-auth-warning"}, append(with, "SUBSCRIBE", "/a")...)...)
	heard, err := listener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Start(); err != nil {
		t.Fatal(err)
	}
	defer listener.Wait()
	defer listener.Process.Kill()
	testenv.Eventually(t, "redis-cli listens", func() bool { return broker.Ports().Subscribers("/a") == 1 })
	for _, tt := range []struct {
		args []string
		want string // in the output
	}{
		{append(with, "PUBLISH", "/a", "over TLS"), "1\n"},
		{append(with, "PUBLISH", "/a", large), "1\n"},
		{append(with, "ECHO", large), large},
		{[]string{"--tls", "--cacert", ca, "PUBLISH", "/a", "x"}, "NOAUTH"},
		{[]string{"--tls", "PUBLISH", "/a", "x"}, "certificate verify failed"},
		{[]string{"PING"}, "this port takes TLS only"},
	} {
		if got := run(tt.args...); !strings.Contains(got, tt.want) {
			t.Errorf("redis-cli %.80q: %.200q, want %.80q in it", tt.args, got, tt.want)
		}
	}
	want := "over TLS\nmessage\n/a\n" + large + "\n"
	var got bytes.Buffer
	for buf := make([]byte, 64<<10); !strings.Contains(got.String(), want); {
		n, err := heard.Read(buf)
		if got.Write(buf[:n]); err != nil {
			t.Fatalf("redis-cli printed %.200q, want %.80q in it", &got, want)
		}
	}
	if n := s.Stats().TLS; n.Handshakes != 5 || n.Failures["plain"] != 1 {
		t.Errorf("%+v, want 5 handshakes and one client in the clear", n)
	}
}

// Ensure that a client with TLS that reads slowly keeps its connection and gets all, and that
// one which does not read is ended, as in the clear.
func TestSlowReadersWithTLS(t *testing.T) {
	secure, _ := withTLS(t)
	for _, reads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ln, broker := newPipes(), channels.NewBroker(channels.Options{})
			s, err := New(ln, Config{Broker: broker.Ports(), TLS: secure})
			if err != nil {
				t.Fatal(err)
			}
			run(t, s)
			wire := ln.dial()
			defer wire.Close()
			slow := &slowly{Conn: wire}
			nc := tls.Client(slow, trusting)
			exchange(t, nc, "SUBSCRIBE /a\n", push(":1\r\n", "subscribe", "/a"))
			data := strings.Repeat("x", 50_000) // four records, of which a slow client takes a part in writeTimeout
			slow.wait = func() { time.Sleep(writeTimeout * 2 / 3) }
			if r, err := broker.Publish("/a", channels.Event{Data: []byte(data)}); r.Receivers != 1 {
				t.Fatal(r, err)
			}
			if !reads {
				time.Sleep(writeTimeout + time.Millisecond)
				synctest.Wait()
				if n := s.dropped.Load(); n != 1 || broker.Ports().Subscribers("/a") != 0 {
					t.Errorf("%d dropped, %d subscribers, want 1, none", n, broker.Ports().Subscribers("/a"))
				}
				return
			}
			want := resp.AppendBulk(resp.AppendBulk(resp.AppendBulk(resp.AppendPush(nil, 3, resp.RESP2), "message"), "/a"), data)
			got := make([]byte, len(want))
			if n, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes of %d: %v", n, len(want), err)
			}
			if n := s.dropped.Load(); n != 0 {
				t.Errorf("a client that reads is dropped")
			}
		})
	}
}

// slowly reads some bytes at a time, and waits before each.
type slowly struct {
	net.Conn
	wait func()
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.wait != nil {
		s.wait()
		p = p[:min(len(p), 5000)]
	}
	return s.Conn.Read(p)
}

// Ensure that a client that stalls in its handshake is ended in time, keeps out nobody, and
// holds up neither CLIENT KILL nor the end of the server.
func TestStalledHandshakes(t *testing.T) {
	secure, _ := withTLS(t)
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, TLS: secure, MaxClients: 4})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		var stalled []net.Conn
		for range 10 {
			stalled = append(stalled, ln.dial())
		}
		synctest.Wait()
		if n := s.clients(); n != 4 || s.displaced.Load() != 6 {
			t.Errorf("%d clients, %d displaced, want 4, 6", n, s.displaced.Load())
		}
		nc := tls.Client(ln.dial(), trusting)
		exchange(t, nc, "PING\n", "+PONG\r\n")
		time.Sleep(authTimeout + lingerTimeout)
		synctest.Wait()
		if n := s.clients(); n != 1 {
			t.Errorf("%d clients after %v, want the one that speaks", n, authTimeout)
		}
		exchange(t, nc, "PING\n", "+PONG\r\n")
		stuck := tls.Client(ln.dial(), trusting)
		exchange(t, stuck, "PING\n", "+PONG\r\n") // and reads nothing more
		began := time.Now()
		exchange(t, nc, "CLIENT KILL ID 12\n", ":1\r\n")
		s.Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the end of two clients that do not read took %v", took)
		}
		for _, conn := range stalled {
			conn.Close()
		}
		nc.NetConn().Close()
		stuck.NetConn().Close()
	})
}
