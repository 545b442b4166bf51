package server

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"millrace/channels"
	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/testenv"
	"millrace/internal/tlsrecord"
)

// Ensure that a request is answered that comes together with the client's close_notify, as one
// is in the clear that its end follows.
func TestTLSRequestAndEnd(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{Loops: 1}), channels.Options{})
	r := dialRaw(t, s)
	sealed := r.state.AppendData(nil, []byte("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"))
	r.Write(r.state.AppendAlert(sealed, tlsrecord.CloseNotify))
	r.want("HTTP/1.1 200 OK\r\n")
	if !r.hangsUp() {
		t.Error("the server does not close")
	}
}

// Ensure that a client may send more behind its handshake than may wait there, while the
// server has not come to its end: what does not fit is read later, and nothing is kept of it.
func TestTLSMuchBehindHandshake(t *testing.T) {
	const extra = handshake.MaxUnread + 3*readSize/2
	cert, key := testenv.Certificate(t, "localhost")
	store, err := certs.Load(slog.New(slog.DiscardHandler), certs.Files{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	holds, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	cfg := Config{Loops: 1, TLSListen: "127.0.0.1:0"}
	cfg.TLS, err = handshake.New(handshake.Config{Computing: 1, Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "slow.test" {
			close(holds)
			<-released
		}
		return store.Get(hello)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, cfg, channels.Options{})
	t.Cleanup(release)

	conn, err := net.Dial("tcp", s.TLSAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	held := &heldBack{Conn: conn, then: func() {
		go tls.Dial("tcp", s.TLSAddr().String(), &tls.Config{ServerName: "slow.test"}) // takes the only token
		<-holds
	}}
	var keys keyLog
	client := tls.Client(held, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", KeyLogWriter: &keys})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	r := &rawClient{t: t, Conn: conn}
	if err := r.state.Init(client.ConnectionState().CipherSuite, keys.secret(t, "SERVER_TRAFFIC_SECRET_0"), keys.secret(t, "CLIENT_TRAFFIC_SECRET_0"), 0); err != nil {
		t.Fatal(err)
	}
	sealed := r.state.AppendData(nil, []byte("GET /x HTTP/1.1\r\nHost: test\r\n\r\n"))
	for n := 0; n < extra; n += 1000 {
		sealed = r.state.AppendData(sealed, make([]byte, 1000))
	}
	sealed = append(sealed, r.state.AppendData(nil, nil)[:6]...) // and the beginning of one more
	if _, err := io.Copy(conn, strings.NewReader(string(sealed))); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "as much is read as may wait", func() bool {
		full, _ := ask(t.Context(), s.loops[0], func(l *loop) bool {
			for _, h := range l.handshakes.m {
				if h.full {
					return true
				}
			}
			return false
		})
		return full
	})
	release()
	r.want(":\n\n")
	kept, _ := ask(t.Context(), s.loops[0], func(l *loop) (kept int) {
		for _, part := range l.parts.m {
			kept += cap(part)
		}
		return kept
	})
	if kept == 0 || kept > 2*maxPart {
		t.Errorf("the stream keeps %d bytes for 6 of a record, want %d at most", kept, 2*maxPart)
	}
}

// heldBack calls then before its second write, which has the client's Finished.
type heldBack struct {
	net.Conn
	writes int
	then   func()
}

func (h *heldBack) Write(p []byte) (int, error) {
	if h.writes++; h.writes == 2 {
		h.then()
	}
	return h.Conn.Write(p)
}
