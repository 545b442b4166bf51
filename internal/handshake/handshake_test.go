package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"millrace/internal/testenv"
)

// Ensure that connections are taken over in the middle of what their clients send, whatever
// the pieces in which it comes, and nothing is lost.
func TestTakeOver(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	s := testServer(t, 2)
	for name, cfg := range map[string]*tls.Config{
		"usual":         {},
		"X25519":        {CurvePreferences: []tls.CurveID{tls.X25519}},
		"P-521":         {CurvePreferences: []tls.CurveID{tls.CurveP521}},
		"no tickets":    {SessionTicketsDisabled: true},
		"with protocol": {NextProtos: []string{"h2", "http/1.1"}, ServerName: "events.example"},
	} {
		t.Run(name, func(t *testing.T) {
			k := dial(t, s, cfg, "a request")
			if err := k.pump(nil); err != nil {
				t.Fatal(err)
			}
			// What the client says comes between the end and the takeover.
			if err := <-k.done; err != nil {
				t.Fatal(err)
			}
			if unread(k.c) == 0 { // else it came together with the last of the handshake
				k.c.Feed(<-k.came)
			}
			k.echo("a request")
			if want := cfg.ServerName; k.c.ServerName() != want {
				t.Errorf("the client asks for %q, want %q", k.c.ServerName(), want)
			}
			if k.client.ConnectionState().NegotiatedProtocol != k.c.Protocol() {
				t.Errorf("protocol %q, the client has %q", k.c.Protocol(), k.client.ConnectionState().NegotiatedProtocol)
			}
			k.close()
		})
	}
	s.Wait()
	goleak.VerifyNone(t, leaks)
}

// unread is how much has come that the handshake did not read.
func unread(c *Conn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.in)
}

// Ensure that sessions are resumed with the tickets that were counted.
func TestResumption(t *testing.T) {
	s := testServer(t, 2)
	cfg := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "events.example"}
	for i := range 3 {
		k := dial(t, s, cfg, "")
		if err := k.pump(nil); err != nil {
			t.Fatal(err)
		}
		k.echo("") // has the client read its ticket
		if resumed := k.client.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed is %t", i, resumed)
		}
	}
}

// constant is no source of randomness.
type constant struct{}

func (constant) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Ensure that connections whose clients send the same random number at the same time do not
// get each other's keys.
func TestSameRandom(t *testing.T) {
	s := testServer(t, 4)
	cfg := &tls.Config{Rand: constant{}}
	if hello := clientHello(t, cfg); !bytes.Equal(hello[11:43], make([]byte, 32)) {
		t.Fatalf("the random number of the client is %x, want zeros", hello[11:43])
	}
	var clients sync.WaitGroup
	for range 8 {
		k := dial(t, s, cfg, "")
		clients.Go(func() {
			if err := k.pump(nil); err != nil {
				t.Error(err)
				return
			}
			k.echo("")
		})
	}
	clients.Wait()
}

// Ensure that a handshake whose client closes, sends an alert, sends garbage or is given up
// ends, at whatever byte that happens, and leaves no goroutine.
func TestAbandoned(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	s := testServer(t, 2)
	whole := 0
	k := dial(t, s, &tls.Config{}, "")
	if err := k.pump(func(n int) bool { whole = n; return true }); err != nil {
		t.Fatal(err)
	}
	const step = 41
	ways := map[string]func(c *Conn){
		"closed":   (*Conn).End,
		"given up": (*Conn).Close,
		"alert":    func(c *Conn) { c.Feed([]byte("\x15\x03\x03\x00\x02\x02\x28")); c.End() },
		"garbage":  func(c *Conn) { c.Feed(bytes.Repeat([]byte("garbage"), 1000)); c.End() },
	}
	for name, way := range ways {
		for at := 0; at < whole; at += step {
			k := dial(t, s, &tls.Config{}, "")
			err := k.pump(func(n int) bool {
				if n == at {
					way(k.c)
				}
				return n < at
			})
			if err == nil {
				t.Errorf("%s at byte %d of %d: the handshake has succeeded", name, at, whole)
			}
			k.close()
		}
	}
	s.Wait()
	k.close()
	goleak.VerifyNone(t, leaks)
}

// Ensure that failures are told apart, and that a client hears why.
func TestFailures(t *testing.T) {
	s := testServer(t, 2)
	none := newServer(Config{Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, fmt.Errorf("%w for that name", ErrNoCertificate)
	}})
	faulty := newServer(Config{Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("a fault") }})
	for _, tt := range []struct {
		name   string
		server *Server
		cfg    *tls.Config
		want   Failure
		alert  string // as the client words it
	}{
		{"TLS 1.2", s, &tls.Config{MaxVersion: tls.VersionTLS12}, Version, "protocol version not supported"},
		{"h2 only", s, &tls.Config{NextProtos: []string{"h2"}}, Protocol, "no application protocol"},
		{"no certificate", none, &tls.Config{}, Certificate, "internal error"},
		{"a panic", faulty, &tls.Config{}, Panic, "EOF"},
		{"another panic", faulty, &tls.Config{}, Panic, "EOF"}, // whose turn comes
	} {
		k := dial(t, tt.server, tt.cfg, "")
		err := k.pump(nil)
		if tt.want == Panic {
			k.ours.Close() // as a loop would
		}
		if got := k.c.Why(err); err == nil || got != tt.want {
			t.Errorf("%s: %v is %q, want %q", tt.name, err, got, tt.want)
		}
		if err := <-k.done; err == nil || !bytes.Contains([]byte(err.Error()), []byte(tt.alert)) {
			t.Errorf("%s: the client's error is %v, want %q in it", tt.name, err, tt.alert)
		}
	}
	bytewise := func(text string) (Failure, error) {
		c := s.Start(1, func(*Conn) {})
		c.Feed([]byte(text))
		c.End()
		s.Wait()
		_, err := c.Result()
		return c.Why(err), err
	}
	for text, want := range map[string]Failure{
		"GET / HTTP/1.1\r\n\r\n": Garbage, "\x16\x03\x01\x00\x04\x01\x00\x00\x00": Protocol, "": Left,
	} {
		if got, err := bytewise(text); got != want {
			t.Errorf("%q: %v is %q, want %q", text, err, got, want)
		}
	}
	refusing := dial(t, s, &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return errors.New("no") }}, "")
	if err := refusing.pump(nil); refusing.c.Why(err) != Refused {
		t.Errorf("a client that refuses the certificate: %v is %q, want %q", err, refusing.c.Why(err), Refused)
	}
}

// Ensure that a client that stalls keeps no other from its handshake, and that what may have
// come and was not read is bounded.
func TestStalled(t *testing.T) {
	s := testServer(t, 1)
	c := s.Start(1, func(*Conn) {})
	c.Feed([]byte("\x16\x03\x01"))
	for !c.Waits() {
		runtime.Gosched()
	}
	k := dial(t, s, &tls.Config{}, "")
	if err := k.pump(nil); err != nil {
		t.Fatal(err)
	}
	bearable := true
	for range MaxUnread/1000 + 2 {
		bearable = bearable && k.c.Feed(make([]byte, 1000))
	}
	if bearable {
		t.Errorf("%d bytes behind a handshake are borne", MaxUnread+2000)
	}
	c.Close()
}

// Ensure that a handshake that waits for its client takes no more than it may.
func TestStalledMemory(t *testing.T) {
	const clients, most = 500, 32 << 10
	s := testServer(t, 2)
	hello := clientHello(t, &tls.Config{})
	before := inUse()
	stalled := make([]*Conn, clients)
	for i := range stalled {
		stalled[i] = s.Start(int32(i), func(*Conn) {})
		stalled[i].Feed(hello)
	}
	for _, c := range stalled {
		for !c.Waits() {
			runtime.Gosched()
		}
	}
	each := int(inUse()-before) / clients
	t.Logf("%d bytes a stalled handshake", each)
	if each > most && !testenv.Race {
		t.Errorf("a stalled handshake takes %d bytes, want at most %d", each, most)
	}
	for _, c := range stalled {
		c.Close()
	}
	s.Wait()
}

// clientHello returns the first record of a client.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify = true
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go tls.Client(theirs, cfg).Handshake()
	record := make([]byte, 5, 4096)
	if _, err := io.ReadFull(ours, record); err != nil {
		t.Fatal(err)
	}
	record = record[:5+int(record[3])<<8+int(record[4])]
	if _, err := io.ReadFull(ours, record[5:]); err != nil {
		t.Fatal(err)
	}
	return record
}

// inUse is the memory of heap and stacks, after a collection.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkHandshake is a whole one with its client, beside one of crypto/tls with itself.
func BenchmarkHandshake(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		s := testServer(b, 1)
		for b.Loop() {
			k := dial(b, s, &tls.Config{}, "")
			if err := k.pump(nil); err != nil {
				b.Fatal(err)
			}
			k.close()
		}
	})
	b.Run("crypto_tls", func(b *testing.B) {
		certificate, err := ephemeral()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			ours, theirs := net.Pipe()
			go tls.Client(theirs, &tls.Config{InsecureSkipVerify: true}).Handshake()
			if err := tls.Server(ours, &tls.Config{Certificates: []tls.Certificate{*certificate}}).Handshake(); err != nil {
				b.Fatal(err)
			}
			ours.Close()
			theirs.Close()
		}
	})
}
