package handshake

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"millrace/internal/testenv"
	"millrace/internal/tlsrecord"
)

const patience = testenv.Patience

// testServer returns a server with a certificate of its own.
func testServer(t testing.TB, computing int) *Server {
	t.Helper()
	certificate, err := ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil },
		Protocols:   []string{"http/1.1"}, Computing: computing,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// socket is what stands between a client and the handshake that a test drives, as a loop
// would: the client is crypto/tls at the other end.
type socket struct {
	t        testing.TB
	c        *Conn
	client   *tls.Conn
	ours     net.Conn
	notified chan struct{}
	came     chan []byte // from the client; closed when it has closed
	over     chan struct{}
	done     chan error // what the client's handshake brought
}

// dial begins a handshake with a client. Behind it the client writes say, at once.
func dial(t testing.TB, s *Server, cfg *tls.Config, say string) *socket {
	t.Helper()
	ours, theirs := testenv.Connection(t)
	for _, conn := range []net.Conn{ours, theirs} {
		conn.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { conn.Close() })
	}
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify = true
	k := &socket{t: t, client: tls.Client(theirs, cfg), ours: ours, notified: make(chan struct{}, 1), came: make(chan []byte), over: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		err := k.client.Handshake()
		if err == nil && say != "" {
			_, err = io.WriteString(k.client, say)
		}
		k.done <- err
	}()
	go func() {
		defer close(k.came)
		for {
			buf := make([]byte, 4096)
			n, err := ours.Read(buf)
			if err != nil {
				return
			}
			select {
			case k.came <- buf[:n]:
			case <-k.over:
				return
			}
		}
	}()
	k.c = s.Start(1, func(*Conn) {
		select {
		case k.notified <- struct{}{}:
		default:
		}
	})
	t.Cleanup(k.c.Close)
	return k
}

// close closes both ends.
func (k *socket) close() {
	close(k.over)
	k.client.NetConn().Close()
	k.ours.Close()
}

// pump takes bytes to and fro until the handshake is over. before is called ahead of each
// byte from the client, with how many there were; it returns false for a client of which
// nothing more is to come.
func (k *socket) pump(before func(n int) bool) error {
	k.t.Helper()
	n := 0
	for {
		select {
		case piece, open := <-k.came:
			if !open {
				k.came = nil
				k.c.End()
			}
			for _, b := range piece {
				if before != nil && !before(n) {
					k.came = nil
					go io.Copy(io.Discard, k.ours) // so that nobody waits
					break
				}
				n++
				k.c.Feed([]byte{b})
			}
		case <-k.notified:
			over, err := k.c.Result()
			unsent := k.c.Unsent()
			if len(unsent) > 0 {
				if _, err := k.ours.Write(unsent); err != nil && !over {
					k.t.Fatal(err)
				}
				k.c.Sent(len(unsent))
			}
			if over {
				return err
			}
		case <-time.After(patience):
			k.t.Fatalf("nothing happens after %d bytes", n)
		}
	}
}

// echo has a text pass both ways behind the handshake. said is what the client has sent
// already.
func (k *socket) echo(said string) {
	k.t.Helper()
	var state tlsrecord.State
	sealed := k.c.Take(&state)
	go func() {
		k.ours.Write(state.AppendData(nil, []byte("from the server")))
	}()
	buf := make([]byte, 100)
	n, err := k.client.Read(buf)
	if string(buf[:n]) != "from the server" {
		k.t.Errorf("the client reads %q, %v", buf[:n], err)
	}
	go io.WriteString(k.client, "from the client")
	got := ""
	for got != said+"from the client" {
		select {
		case piece := <-k.came:
			sealed = append(sealed, piece...)
		case <-time.After(patience):
			k.t.Fatalf("the client has said %q, want %q", got, said+"from the client")
		}
		plain, used, err := state.Take(sealed)
		if got += string(plain); err != nil {
			k.t.Fatalf("after %q: %v", got, err)
		}
		sealed = sealed[used:]
	}
}
