package server

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Ensure that clients that send a byte a second are ended at the deadline, which
// counts from the beginning and not from the last byte: all of them, not before,
// and at one tick. The test is the loop here, and its clock.
func TestSlowloris(t *testing.T) {
	clients := 4000
	if testing.Short() {
		clients = 400
	}
	const timeout = 10 * time.Second
	s, err := New(Config{Listen: "127.0.0.1:0", Loops: 1, HeaderTimeout: timeout, Logger: slog.New(slog.DiscardHandler)}, channels.NewBroker(channels.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := s.loops[0]
	begin := s.clock()
	at := func(after time.Duration) { l.now = begin + after }
	at(0)
	ends := make(map[int32]int, clients) // server's and client's
	for range clients {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[0])
		ends[int32(fds[1])] = fds[0]
		if err := l.open(int32(fds[1]), nil); err != nil {
			t.Fatal(err)
		}
	}
	for second := range 10 {
		at(time.Duration(second) * time.Second)
		for l.wheel.Advance(l.now, slice, l.expired) {
		}
		for fd, client := range ends {
			if _, err := unix.Write(client, []byte("GET / HTTP"[second:second+1])); err != nil {
				t.Fatal(err)
			}
			l.readHead(fd, l.table.at(fd))
		}
	}
	at(timeout - tick)
	for l.wheel.Advance(l.now, slice, l.expired) {
	}
	if len(l.partial) != clients {
		t.Errorf("%d of %d clients are waited for a tick before the deadline", len(l.partial), clients)
	}
	at(timeout + tick)
	slices := 1
	for l.wheel.Advance(l.now, slice, l.expired) {
		slices++
	}
	if len(l.partial) != 0 {
		t.Errorf("%d of %d clients are waited for a tick after the deadline", len(l.partial), clients)
	}
	if want := clients / slice; slices < want {
		t.Errorf("%d clients were ended in %d slices, want at least %d", clients, slices, want)
	}
	for fd, client := range ends {
		var answer [512]byte
		n, err := unix.Read(client, answer[:])
		if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 408 ") {
			t.Fatalf("a slow client got %q, %v; want a 408", answer[:max(n, 0)], err)
		}
		if c := l.table.at(fd); c.state != stateLinger {
			t.Fatalf("a slow client's state is %d, want that it lingers", c.state)
		}
	}
	at(timeout + lingerTimeout + 2*tick)
	for l.wheel.Advance(l.now, slice, l.expired) {
	}
	if got := s.Stats(); got.Connections != 0 || got.Closed[reasonAnswered.String()] != uint64(clients) {
		t.Errorf("%d connections are left and %d have been answered, want none and %d", got.Connections, got.Closed[reasonAnswered.String()], clients)
	}
}

// Ensure the same of real connections, and that they take nothing from others.
func TestSlowlorisBesideStreams(t *testing.T) {
	clients := 1000
	if testing.Short() {
		clients = 100
	}
	s, b := start(t, Config{Loops: 2, HeaderTimeout: time.Second, Keepalive: 100 * time.Millisecond}, channels.Options{})
	stream := subscribe(t, s, "/x")
	slow := make([]*client, clients)
	for i := range slow {
		slow[i] = dial(t, s)
	}
	left := clients
	for round := 0; left > 0; round++ {
		// Between two bytes of each comes a ping, so a byte takes a tenth of the
		// timeout, and the stream is served.
		stream.skipTo(":keepalive\n")
		if round%5 == 0 {
			publish(t, b, "/x", "news", 1)
			stream.skipTo("data: news\n")
		}
		text := askX
		left = 0
		for i, c := range slow {
			if c == nil {
				continue
			}
			if _, err := c.Write([]byte{text[round%(len(text)-4)]}); err != nil {
				answer, _ := io.ReadAll(c.r)
				if got := string(answer); got != "" && !strings.HasPrefix(got, "HTTP/1.1 408 ") {
					t.Fatalf("a slow client got %q, want a 408 or a reset", got)
				}
				slow[i] = nil
				continue
			}
			left++
		}
	}
	eventually(t, "only the stream is left", func() bool { return s.Stats().Connections == 1 })
	closed := s.Stats().Closed
	if n := closed[reasonAnswered.String()] + closed[reasonClient.String()]; n != uint64(clients) {
		t.Errorf("%d slow clients, closed are %v", clients, closed)
	}
}
