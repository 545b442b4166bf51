package admin

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// recorder is a broker that writes down what it is given.
type recorder struct {
	subscribers map[string]int

	mu        sync.Mutex
	published []string
}

func (r *recorder) Publish(channel string, ev channels.Event) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%s %q", channel, ev.Data)
	if ev.Type != "" || ev.Retry != 0 {
		line += fmt.Sprintf(" %q %v", ev.Type, ev.Retry)
	}
	r.published = append(r.published, line)
	return r.subscribers[channel], nil
}

func (r *recorder) Subscribers(channel string) int { return r.subscribers[channel] }

func (r *recorder) Channels() (names []string) {
	for name := range r.subscribers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	published := r.published
	r.published = nil
	return published
}

// serve runs a server on a loopback port until the test ends.
func serve(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s
}

func run(t testing.TB, s *Server) {
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
		if err := <-served; err != nil {
			t.Error("Serve:", err)
		}
	})
}

func dial(t testing.TB, s *Server) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc.(*net.TCPConn)
}

// ask sends input on a connection of its own and returns all that comes back.
func ask(t testing.TB, s *Server, input string) string {
	t.Helper()
	nc := dial(t, s)
	defer nc.Close()
	if _, err := io.WriteString(nc, input); err != nil {
		t.Fatal(err)
	}
	nc.CloseWrite()
	output, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("%v after %q in answer to %.100q", err, output, input)
	}
	return string(output)
}

// pipes is a listener for tests in which time is not real, or in which one Write is to be one Read.
type pipes struct {
	accept chan net.Conn
	errs   chan error
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan error), make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.accept:
		return nc, nil
	case err := <-p.errs:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accept <- server
	return client
}

// log collects what is logged, without times.
func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "client" {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestListen(t *testing.T) {
	for _, tt := range []struct{ addr, password, want string }{
		{"127.0.0.1:0", "", ""},
		{"[::1]:0", "", ""},
		{"localhost:0", "", ""},
		{"127.0.0.1:0", "secret", ""},
		{"0.0.0.0:0", "secret", ""},
		{":7379", "", "admin address :7379: reachable from other hosts without a password: set --admin-password, or bind a loopback address such as 127.0.0.1:7379"},
		{"0.0.0.0:7379", "", "admin address 0.0.0.0:7379: reachable from other hosts"},
		{"[::]:7379", "", "admin address [::]:7379: reachable from other hosts"},
		{"192.0.2.1:7379", "", "admin address 192.0.2.1:7379: reachable from other hosts"},
		{"7379", "", `admin address "7379": address 7379: missing port in address`},
		{"192.0.2.1:0", "secret", `admin address "192.0.2.1:0": listen tcp`},
	} {
		s, err := Listen(tt.addr, Config{Password: tt.password, Broker: &recorder{}})
		if s != nil {
			s.Close()
		}
		if tt.want == "" && err != nil && strings.HasPrefix(tt.addr, "[") {
			t.Logf("no IPv6 here: %v", err)
		} else if got := fmt.Sprint(cmp.Or(err, errors.New(""))); !strings.HasPrefix(got, tt.want) || (err == nil) != (tt.want == "") {
			t.Errorf("Listen(%q) with password %q: %v, want %q", tt.addr, tt.password, err, tt.want)
		}
		if strings.Contains(tt.want, "reachable") && !errors.Is(err, ErrNoPassword) {
			t.Errorf("Listen(%q): %v is not ErrNoPassword", tt.addr, err)
		}
	}
}

// Ensure that Close leaves neither goroutine nor descriptor, whatever the connections are doing.
func TestClose(t *testing.T) {
	descriptors := func() int {
		if runtime.GOOS != "linux" {
			return 0
		}
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	warm := serve(t, Config{Broker: &recorder{}}) // the poller has descriptors of its own, from the first socket on
	ask(t, warm, "PING\n")
	warm.Close()
	before := descriptors()

	s, err := Listen("127.0.0.1:0", Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve() }()
	idle, busy := dial(t, s), dial(t, s)
	var clients sync.WaitGroup
	clients.Go(func() { io.Copy(io.Discard, idle) })
	clients.Go(func() { io.Copy(io.Discard, busy) })
	clients.Go(func() {
		for {
			if _, err := io.WriteString(busy, strings.Repeat("PUBLISH /a b\n", 1000)); err != nil {
				return
			}
		}
	})
	if got := ask(t, s, "PING\n"); got != "+PONG\r\n" {
		t.Errorf("PING: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error("Close:", err)
	}
	if err := <-served; err != nil {
		t.Error("Serve:", err)
	}
	if err := s.Close(); err != nil {
		t.Error("Close again:", err)
	}
	if err := s.Serve(); err != nil {
		t.Error("Serve after Close:", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("still accepts after Close")
	}
	clients.Wait()
	idle.Close()
	busy.Close()
	if n := descriptors(); n != before {
		t.Errorf("%d descriptors after Close, %d before", n, before)
	}
}

func TestMaxClients(t *testing.T) {
	s := serve(t, Config{Broker: &recorder{}, MaxClients: 2})
	var clients []net.Conn
	for range 2 {
		nc := dial(t, s)
		exchange(t, nc, "PING\n", "+PONG\r\n")
		clients = append(clients, nc)
	}
	if got, want := ask(t, s, ""), "-ERR max number of clients reached\r\n"; got != want {
		t.Errorf("the third client got %q, want %q", got, want)
	}
	exchange(t, clients[0], "QUIT\n", "+OK\r\n")
	io.Copy(io.Discard, clients[0]) // the server has closed
	clients[0].Close()
	for deadline := time.Now().Add(10 * time.Second); s.clients() == 2; {
		if time.Now().After(deadline) {
			t.Fatal("the place of a client that quit is not free")
		}
		runtime.Gosched()
	}
	if got := ask(t, s, "PING\n"); got != "+PONG\r\n" {
		t.Errorf("after one has quit: %q", got)
	}
}

// exchange sends input and wants exactly that answer.
func exchange(t testing.TB, nc net.Conn, input, want string) {
	t.Helper()
	if _, err := io.WriteString(nc, input); err != nil {
		t.Fatalf("write %.100q: %v", input, err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(nc, got); err != nil || string(got) != want {
		t.Fatalf("%.100q: %q, %v, want %q", input, got[:n], err, want)
	}
}

// Ensure that a listener which runs out of descriptors is tried again, and not in a spin.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		began := time.Now()
		for range 12 {
			ln.errs <- errors.New("too many open files")
		}
		nc := ln.dial()
		exchange(t, nc, "PING\n", "+PONG\r\n")
		nc.Close()
		if took := time.Since(began); took < time.Second || took > 10*time.Second {
			t.Errorf("12 failures took %v", took)
		}
		if n := strings.Count(log.String(), "cannot accept"); n != 12 {
			t.Errorf("logged %d times: %s", n, &log)
		}
	})
}

// Ensure that Serve does not go on without a listener.
func TestListenerClosed(t *testing.T) {
	ln := newPipes()
	s, err := New(ln, Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := s.Serve(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v, want net.ErrClosed", err)
	}
}

// counted counts the calls that would be system calls.
type counted struct {
	net.Conn
	reads, writes int
}

func (c *counted) Read(p []byte) (int, error)  { c.reads++; return c.Conn.Read(p) }
func (c *counted) Write(p []byte) (int, error) { c.writes++; return c.Conn.Write(p) }

// Ensure that what comes together is answered together, in order.
func TestPipeline(t *testing.T) {
	broker := &recorder{subscribers: map[string]int{"/a": 3}}
	ln := newPipes()
	s, err := New(ln, Config{Broker: broker})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	client, server := net.Pipe()
	defer client.Close()
	nc := &counted{Conn: server}
	ln.accept <- nc

	var input, want strings.Builder
	var published []string
	const n = 1000
	for i := range n {
		fmt.Fprintf(&input, "*3\r\n$7\r\npublish\r\n$2\r\n/%c\r\n$3\r\n%03d\r\n", 'a'+rune(i%2), i)
		fmt.Fprintf(&want, ":%d\r\n", 3-3*(i%2))
		published = append(published, fmt.Sprintf("/%c \"%03d\"", 'a'+rune(i%2), i))
	}
	exchange(t, client, input.String(), want.String())
	client.Close()
	s.Close()
	if nc.reads > 3 || nc.writes > 2 {
		t.Errorf("%d requests took %d reads and %d writes", n, nc.reads, nc.writes)
	}
	if got := broker.take(); !slices.Equal(got, published) {
		t.Errorf("published %q, want %q", got, published)
	}
}

// Ensure that a client which does not read its replies is cut off, and costs no memory until then.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		nc := ln.dial()
		defer nc.Close()
		began := time.Now()
		echo := "ECHO " + strings.Repeat("x", 1000) + "\n"
		sent := 0
		for {
			n, err := io.WriteString(nc, echo)
			sent += n
			if err != nil {
				break
			}
		}
		if took := time.Since(began); took != writeTimeout {
			t.Errorf("cut off after %v, want %v", took, writeTimeout)
		}
		if sent > 2*bufferSize {
			t.Errorf("the server took %d bytes without an answer being read", sent)
		}
		synctest.Wait()
		if !strings.Contains(log.String(), "does not read its replies") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// Ensure that an HTTP request is not answered, nor anything behind it done.
func TestCrossProtocol(t *testing.T) {
	for _, input := range []string{
		"POST / HTTP/1.1\r\nHost: 127.0.0.1:7379\r\nContent-Length: 14\r\n\r\nPUBLISH /a b\r\n",
		"GET / HTTP/1.1\r\nHost: 127.0.0.1:7379\r\n\r\nPUBLISH /a b\r\n",
		"PING\r\npost /\r\nPUBLISH /a b\r\n",
	} {
		var log bytes.Buffer
		broker := &recorder{}
		s := serve(t, Config{Broker: broker, Logger: logTo(&log)})
		nc := dial(t, s)
		io.WriteString(nc, input)
		if got, _ := io.ReadAll(nc); len(got) != 0 { // a reset is as good an end as any
			t.Errorf("%q was answered %q", input, got)
		}
		s.Close()
		if published := broker.take(); published != nil {
			t.Errorf("%q published %q", input, published)
		}
		if want := "level=WARN msg=\"admin port aborted an HTTP request, possibly an attack through somebody's browser\"\n"; log.String() != want {
			t.Errorf("%q logged %q, want %q", input, log.String(), want)
		}
	}
}

// Ensure that a client reads why it was refused, though it has sent much more than was read.
func TestLinger(t *testing.T) {
	s := serve(t, Config{Broker: &recorder{}})
	want := "-ERR Protocol error: invalid bulk length \"20000000\": want 0 to 131072\r\n"
	if got := ask(t, s, "*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$20000000\r\n"+strings.Repeat("x", 20_000_000)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Ensure that the buffers of a connection grow with a request and shrink after it.
func TestBuffers(t *testing.T) {
	s, err := New(newPipes(), Config{Broker: &recorder{}, MaxEventBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := strings.Repeat("x", 1<<20)
	nc := &scripted{input: []byte("PUBLISH /a " + large + "\nECHO " + large + "\nPING\n"), chunk: 1000}
	c := newConn(s, nc, 1)
	largest := 0
	nc.onRead = func() { largest = max(largest, len(c.buf)) }
	c.serve()
	if got, want := nc.output.String(), ":0\r\n$1048576\r\n"+large+"\r\n+PONG\r\n"; got != want {
		t.Errorf("answer of %d bytes, want %d", len(got), len(want))
	}
	if largest != 2<<20 || len(c.buf) != bufferSize || cap(c.out) > 2*bufferSize {
		t.Errorf("largest input buffer %d, at the end %d and %d for output", largest, len(c.buf), cap(c.out))
	}
}

// Ensure that replies which are larger than their requests do not pile up.
func TestRepliesDoNotPileUp(t *testing.T) {
	s, err := New(newPipes(), Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	nc := &scripted{input: []byte(strings.Repeat("HELLO\n", 10_000)), chunk: bufferSize}
	largest := 0
	nc.onWrite = func(p []byte) { largest = max(largest, len(p)) }
	newConn(s, nc, 7).serve()
	if n := strings.Count(nc.output.String(), hello(2)); n != 10_000 {
		t.Errorf("%d answers, want 10000", n)
	}
	if most := bufferSize + len(hello(2)); largest > most {
		t.Errorf("%d bytes in one write, want at most %d", largest, most)
	}
}

// scripted is the server's end of a connection that gives its input in pieces and then ends.
type scripted struct {
	net.Conn
	input   []byte
	chunk   int
	onRead  func()
	onWrite func(p []byte)
	output  bytes.Buffer
	closed  bool
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.onRead != nil {
		s.onRead()
	}
	if len(s.input) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.chunk)], s.input)
	s.input = s.input[n:]
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) {
	if s.onWrite != nil {
		s.onWrite(p)
	}
	return s.output.Write(p)
}

func (s *scripted) Close() error                     { s.closed = true; return nil }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000} }
func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7379} }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }
