package handshake

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"millrace/internal/tlsrecord"
)

// meet has a server and a client make a handshake, byte by byte, and returns how it ended for
// both.
func meet(t *testing.T, s *Server, cl *Client) (server, client *Conn, errs [2]error) {
	t.Helper()
	notified := make(chan struct{}, 1)
	notify := func(*Conn) {
		select {
		case notified <- struct{}{}:
		default:
		}
	}
	server, client = s.Start(1, notify), cl.Start(2, notify)
	for over := [2]bool{}; over != [2]bool{true, true}; {
		select {
		case <-notified:
		case <-time.After(patience):
			t.Fatalf("nothing happens any more; over: %v", over)
		}
		for i, way := range [][2]*Conn{{server, client}, {client, server}} {
			from, to := way[0], way[1]
			over[i], errs[i] = from.Result()
			for _, b := range from.Unsent() {
				from.Sent(1)
				to.Feed([]byte{b})
			}
			if over[i] && errs[i] != nil {
				to.End()
			}
		}
	}
	return server, client, errs
}

// Ensure that both ends of a connection can be taken over, and understand each other.
func TestClient(t *testing.T) {
	s := testServer(t, 1)
	cl := NewClient(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, ServerName: "self.test"}, 1)
	server, client, errs := meet(t, s, cl)
	if errs != [2]error{} || server.Protocol() != "http/1.1" || client.Protocol() != "http/1.1" || server.ServerName() != "self.test" {
		t.Fatalf("%v, protocols %q and %q, name %q; want http/1.1 and self.test", errs, server.Protocol(), client.Protocol(), server.ServerName())
	}
	var ours, theirs tlsrecord.State
	if a, b := server.Take(&ours), client.Take(&theirs); len(a)+len(b) > 0 {
		t.Fatalf("%d and %d bytes are left behind the handshake, want none", len(a), len(b))
	}
	for i, way := range [][2]*tlsrecord.State{{&ours, &theirs}, {&theirs, &ours}} {
		sealed := way[0].AppendData(nil, []byte("hello"))
		sealed = way[0].AppendAlert(sealed, tlsrecord.CloseNotify)
		if plain, _, err := way[1].Take(sealed); string(plain) != "hello" || err != io.EOF {
			t.Errorf("way %d: %q, %v, want hello and %v", i, plain, err, io.EOF)
		}
	}
	s.Wait()
	cl.Wait()
}

// Ensure that a client refuses a certificate that it does not trust, and the server hears so.
func TestClientRefuses(t *testing.T) {
	s := testServer(t, 1)
	cl := NewClient(&tls.Config{ServerName: "self.test"}, 1)
	server, _, errs := meet(t, s, cl)
	if errs[0] == nil || errs[1] == nil || server.Why(errs[0]) != Refused {
		t.Errorf("the server's error %v, the client's %v; want one of each, the server's for %q", errs[0], errs[1], Refused)
	}
	s.Wait()
	cl.Wait()
}
