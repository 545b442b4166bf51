package bench

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unsafe"

	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// testCertificate returns a certificate for a protocol, nil in the clear.
func testCertificate(t testing.TB, p Protocol) *Certificate {
	t.Helper()
	if p == Plain {
		return nil
	}
	c, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trusting returns cfg for a server that has the certificate, if one has.
func trusting(cfg Config, c *Certificate) Config {
	if c != nil {
		cfg.Host, cfg.Certificate = certificateName, c.DER
		cfg.Protocol = Protocol(cmp.Or(string(cfg.Protocol), string(TLS)))
	}
	return cfg
}

// startFloor runs a floor until the test ends.
func startFloor(t testing.TB, loops int, certificate *Certificate) *Floor {
	t.Helper()
	f, err := NewFloor(loops, false, certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// Streams on several loops get every event of a floor, and say when.
func TestStreamsOfFloor(t *testing.T) {
	for _, p := range []Protocol{Plain, TLS} {
		t.Run(string("over "+p), func(t *testing.T) { streamsOfFloor(t, testCertificate(t, p)) })
	}
}

func streamsOfFloor(t *testing.T, certificate *Certificate) {
	const streams, events, size = 500, 20, 40
	f := startFloor(t, 2, certificate)
	before := Now()
	s, err := Open(trusting(Config{Addr: f.Addr().String(), Streams: streams, Loops: 3, Connecting: 10, FirstEvent: 1, PayloadSize: size}, certificate))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if open, failed := f.Streams(); open != streams || failed != 0 {
		t.Fatalf("the floor has %d streams and %d failures, want %d and none", open, failed, streams)
	}
	for n := range uint64(events) {
		if err := f.Broadcast(AppendEvent(nil, n+1, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Await(events, patience); err != nil {
		t.Fatal(err)
	}
	r := s.Report()
	if r.Open != streams || r.Ended != 0 || r.Events != streams*events || len(r.Arrivals) != events {
		t.Fatalf("%s and %d arrivals, want %d streams with %d events each", r, len(r.Arrivals), streams, events)
	}
	for i, a := range r.Arrivals {
		if a.Streams != streams || a.First < before || a.Last < a.First || a.Last > Now() {
			t.Errorf("event %d: %+v, want %d streams, from %v to %v", i+1, a, streams, before, Now())
		}
	}
	if want := streams * (len(floorHead) + events*len(wire(1, size))); certificate == nil && r.Bytes != uint64(want) {
		t.Errorf("%d bytes, want %d", r.Bytes, want)
	}
	s.Close()
	if err := s.Await(events, patience); !errors.Is(err, ErrClosed) {
		t.Errorf("awaiting after Close: %v, want %v", err, ErrClosed)
	}
}

// A stream that gets something else ends with the reason, and a goroutine that waits
// for it is told.
func TestStreamsSeeWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		wire []byte
		want string
	}{
		{"lost", AppendEvent(nil, 3, 10), ErrLost.Error()},
		{"twice", AppendEvent(AppendEvent(nil, 1, 10), 1, 10), ErrDuplicate.Error()},
		{"garbled", []byte("data: 1 defghijkx\n\n"), ErrGarbled.Error()},
	} {
		f := startFloor(t, 1, nil)
		s, err := Open(Config{Addr: f.Addr().String(), Streams: 10, FirstEvent: 1, PayloadSize: 10})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Broadcast(c.wire); err != nil {
			t.Fatal(err)
		}
		err = s.Await(2, patience)
		if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: awaiting an event after %q: %v, want %v and %q", c.name, c.wire, err, ErrEnded, c.want)
		}
		s.Close()
	}
}

// answer serves one connection after the other with the same bytes, and closes
// it.
func answer(t *testing.T, text string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(conn)) // whole: then closing does not reset
			io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func TestStreamsRefuse(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	for _, c := range []struct {
		name, answer, want string
	}{
		{"status", "HTTP/1.1 503 Service Unavailable\r\n\r\n", "503"},
		{"type", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "text/html"},
		{"length", head + "Content-Length: 5\r\n\r\n", "5 bytes"},
		{"no HTTP", "hello\r\n\r\n", "hello"},
		{"endless head", strings.Repeat("x", maxHead+1), "more than"},
		{"nothing", "", "EOF"},
		{"closed in the head", head, "EOF"},
	} {
		_, err := Open(Config{Addr: answer(t, c.answer), Timeout: patience})
		if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q: %v, want %v and %q", c.name, c.answer, err, ErrEnded, c.want)
		}
	}
}

func TestOpenTimesOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // connects, by the kernel, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Open(Config{Addr: ln.Addr().String(), Timeout: time.Millisecond}); !errors.Is(err, ErrTimeout) {
		t.Errorf("%v, want %v", err, ErrTimeout)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Addr: "nowhere"}, `"nowhere"`},
		{Config{Addr: "192.0.2.1:80"}, "loopback"},
		{Config{Addr: "127.0.0.1:80", Streams: -1}, "streams: -1, want 1 to"},
		{Config{Addr: "127.0.0.1:80", Loops: 5000}, "loops: 5000, want 1 to 1024"},
		{Config{Addr: "127.0.0.1:80", Connecting: 1 << 20}, "at a time: 1048576"},
		{Config{Addr: "127.0.0.1:80", PayloadSize: -5}, "size: -5"},
		{Config{Addr: "127.0.0.1:80", Source: -5}, "source address -5"},
		{Config{Addr: "127.0.0.1:80", PerConnection: 6}, "6 streams a connection, which takes HTTP/2"},
		{Config{Addr: "127.0.0.1:80", PerConnection: 101, Protocol: H2}, "a connection: 101, want 1 to 100"},
	} {
		if _, err := Open(c.cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %v with %q", c.cfg, err, ErrConfig, c.want)
		}
	}
}

// A stream is small, so that a million of them fit beside a server.
func TestStreamSize(t *testing.T) {
	if size := unsafe.Sizeof(stream{}) + unsafe.Sizeof(conn{}); size > 60 {
		t.Errorf("a stream and its connection have %d bytes, want at most 60", size)
	}
}
