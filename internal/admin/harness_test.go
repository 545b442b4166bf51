package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/auth/ticket"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// recorder is a broker that writes down what it is given. Nobody can listen to it.
type recorder struct {
	Broker
	subscribers map[string]int
	linked      bool

	mu        sync.Mutex
	published []string
	batches   []int // sizes
}

func (r *recorder) Linked() bool { return r.linked }

func (r *recorder) PublishAll(batch []channels.Publication) {
	for i := range batch {
		batch[i].Receipt, batch[i].Err = r.Publish(batch[i].Channel, batch[i].Event)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, len(batch))
}

func (r *recorder) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%s %q", channel, ev.Data)
	if ev.Type != "" || ev.Retry != 0 {
		line += fmt.Sprintf(" %q %v", ev.Type, ev.Retry)
	}
	r.published = append(r.published, line)
	return channels.Receipt{Receivers: r.subscribers[channel]}, nil
}

func (r *recorder) Subscribers(channel string) int { return r.subscribers[channel] }

func (r *recorder) Channels() (names []string) {
	for name := range r.subscribers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *recorder) Globs() int { return 0 }

func (r *recorder) Figures() channels.Figures { return channels.Figures{} }

func (r *recorder) Publishing() channels.PublishingFigures { return channels.PublishingFigures{} }

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	published := r.published
	r.published = nil
	return published
}

func (r *recorder) takeBatches() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	batches := r.batches
	r.batches = nil
	return batches
}

// controlled is a Control whose answers tell what it was asked: seconds, negated if they
// are final, and lengths of names.
type controlled struct{}

func (controlled) IssueTicket(g ticket.Grant) (string, error) {
	if g.Channels == nil {
		_, err := ticket.New(ticket.RandomKeys()).Issue(g, time.Now())
		return "", err
	}
	return fmt.Sprintf("ticket of %v for %q, %v, until %v", g.Channels, g.User, g.OpenFor, g.Until), nil
}

func (controlled) KickUser(user string, hold time.Duration, final bool) (int, error) {
	if user == "nobody" {
		return 7, errors.New("other nodes may not know")
	}
	if final {
		hold = -hold
	}
	return int(hold.Seconds()), nil
}

func (controlled) KickChannel(channel, user string) (int, error) {
	return len(channel + ":" + user), nil
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

// pipes is a listener for tests in which time is not real, or in which one
// Write is to be one Read.
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

// scripted is the server's end of a connection that gives its input in pieces
// and then ends.
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
