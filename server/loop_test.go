package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/netpoll"
)

// handLoop is a loop that the test turns by hand, on one end of socket pairs,
// at a time that the test sets.
type handLoop struct {
	*loop
	t    testing.TB
	time *time.Duration
}

func turnByHand(t testing.TB, cfg Config, opts channels.Options) handLoop {
	t.Helper()
	cfg.Listen, cfg.Loops = "127.0.0.1:0", 1
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := New(cfg, channels.NewBroker(opts))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h := handLoop{s.loops[0], t, new(time.Duration)}
	s.clock = func() time.Duration { return *h.time }
	return h
}

// socketPair returns two connected sockets that do not block.
func socketPair(t testing.TB) (a, b int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range pair {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	return pair[0], pair[1]
}

// connect opens a connection and returns the loop's descriptor and the other
// end.
func (h handLoop) connect() (fd int32, client int) {
	h.t.Helper()
	ours, client := socketPair(h.t)
	h.t.Cleanup(func() { unix.Close(client) })
	if err := h.open(int32(ours), netpoll.Peer{}, false); err != nil {
		h.t.Fatal(err)
	}
	return int32(ours), client
}

// conn returns the slot of a descriptor.
func (h handLoop) conn(fd int32) *conn { return h.table.at(streamID(fd)) }

// owns tells whether a descriptor is open, and the loop's.
func (h handLoop) owns(fd int32) bool { return h.table.owned(streamID(fd), h.number) != nil }

// stream opens a stream on target and takes its head and greeting.
func (h handLoop) stream(target string) (fd int32, peer int) {
	h.t.Helper()
	fd, peer = h.connect()
	unix.Write(peer, []byte("GET "+target+" HTTP/1.1\r\nHost: test\r\n\r\n"))
	h.on(fd, true, false)
	if got := received(peer); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\n:\n\n") {
		h.t.Fatalf("GET %s: %q", target, got)
	}
	return fd, peer
}

// pass lets loop time pass, and the loop notice.
func (h handLoop) pass(d time.Duration) {
	*h.time += d
	h.turnOver()
}

// turnOver does everything that waits.
func (h handLoop) turnOver() {
	for h.on(h.waker.FD(), true, false); h.busy; {
		h.on(h.waker.FD(), true, false)
	}
}

func unixWrite(t testing.TB, fd int, text string) {
	t.Helper()
	if n, err := unix.Write(fd, []byte(text)); n < len(text) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

// received takes what has arrived at peer; "EOF" ends it when the other end is
// closed.
func received(peer int) string {
	all, closed := arrived(peer, math.MaxInt)
	if closed {
		return string(all) + "EOF"
	}
	return string(all)
}

// Ensure that a request head is understood wherever it is cut, and when it
// comes byte by byte.
func TestHeadAtEverySplit(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	head := []byte("GET /cut?channel=me HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n")
	feed := func(parts ...[]byte) {
		t.Helper()
		fd, peer := h.connect()
		for _, part := range parts {
			unix.Write(peer, part)
			h.on(fd, true, false)
		}
		if got := received(peer); !strings.HasSuffix(got, "\r\n\r\n:\n\n") || len(h.unfinished.m) != 0 {
			t.Fatalf("head in %d parts, the first of %d bytes: %q, %d unfinished heads left", len(parts), len(parts[0]), got, len(h.unfinished.m))
		}
		unix.Close(peer)
		h.on(fd, true, false)
		if n := h.broker.Ports().Subscribers("me"); n != 0 {
			t.Fatalf("%d subscribers left", n)
		}
	}
	for i := 1; i < len(head); i++ {
		feed(head[:i], head[i:])
	}
	feed(bytes.SplitAfter(head, nil)...)
}

// Ensure that the deadline of a request head counts from the accept, whatever
// trickles in, and that only who has begun a request gets an answer.
func TestHeadDeadline(t *testing.T) {
	h := turnByHand(t, Config{HeaderTimeout: 10 * time.Second}, channels.Options{})
	fd, begun := h.connect()
	_, silent := h.connect()
	_, unread := h.connect()
	for range 9 {
		unix.Write(begun, []byte("G"))
		h.on(fd, true, false)
		h.pass(time.Second)
	}
	if a, b := received(begun), received(silent); a != "" || b != "" {
		t.Fatalf("before the deadline: %q and %q", a, b)
	}
	unixWrite(t, unread, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
	h.pass(1100 * time.Millisecond)
	if got := received(unread); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("at the deadline, sent in time but not yet read: %q", got)
	}
	if got := received(begun); !strings.HasPrefix(got, "HTTP/1.1 408 Request Timeout\r\n") {
		t.Errorf("at the deadline, begun: %q", got)
	}
	if got := received(silent); got != "EOF" {
		t.Errorf("at the deadline, silent: %q", got)
	}
	h.pass(lingerTimeout + 2*tick)
	if n := h.counters.connections.Load(); n != 1 {
		t.Errorf("%d connections left, want the one stream", n)
	}
}

// Ensure that a fan-out goes back to the poller between slices, and that
// a stream that joins, leaves or takes another's place meanwhile gets every message
// once: against a model that knows what each stream should have.
func TestFanOutInSlices(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	type stream struct {
		fd, peer int32
		targets  map[string]bool
		want     strings.Builder
	}
	random := rand.New(rand.NewPCG(1, 2))
	var open []*stream
	join := func() {
		targets := []string{"/a", "/b", "/a?channel=/b", "/c?channel=/b&channel=/a"}
		target := targets[random.IntN(len(targets))]
		fd, peer := h.stream(target)
		s := &stream{fd: fd, peer: int32(peer), targets: make(map[string]bool)}
		for _, name := range []string{"/a", "/b", "/c"} {
			s.targets[name] = strings.Contains(target, name)
		}
		open = append(open, s)
	}
	leave := func() {
		i := random.IntN(len(open))
		s := open[i]
		open[i] = open[len(open)-1]
		open = open[:len(open)-1]
		unix.Close(int(s.peer))
		h.on(s.fd, true, false)
	}
	say := func(n int) {
		for range n {
			channel := []string{"/a", "/b", "/c"}[random.IntN(3)]
			data := fmt.Sprint(h.server.Stats().Accepted, random.IntN(1000))
			receivers := 0
			for _, s := range open {
				if s.targets[channel] {
					receivers++
					fmt.Fprintf(&s.want, "data: %s\n\n", data)
				}
			}
			publish(t, h.broker, channel, data, receivers)
		}
	}
	for range 3 * slice {
		join()
	}
	slices := 0
	for range 150 {
		say(1 + random.IntN(5))
		for h.on(h.waker.FD(), true, false); h.busy && random.IntN(4) > 0; {
			for range random.IntN(40) {
				leave()
			}
			for range random.IntN(40) {
				join()
			}
			if random.IntN(3) == 0 {
				say(1)
			}
			h.on(h.waker.FD(), true, false)
			slices++
		}
		if h.busy && random.IntN(10) == 0 {
			h.turnOver()
		}
	}
	h.turnOver()
	if slices < 100 {
		t.Fatalf("only %d slices were interrupted", slices)
	}
	for i, s := range open {
		if got := received(int(s.peer)); got != s.want.String() {
			t.Fatalf("stream %d on %v: got %d bytes, want %d:\n%.200q\n%.200q", i, s.targets, len(got), s.want.Len(), got, s.want.String())
		}
	}
	for len(open) > 0 {
		leave()
	}
	if names := h.broker.Ports().Channels(); len(names) != 0 || len(h.byChannel.m) != 0 || len(h.multi.m) != 0 || len(h.unused) != len(h.channels) {
		t.Errorf("left behind: channels %q, %d local, %d streams on several, %d of %d indexes", names, len(h.byChannel.m), len(h.multi.m), len(h.channels)-len(h.unused), len(h.channels))
	}
}

// Ensure that a fan-out allocates nothing for each receiver.
func TestFanOutAllocations(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	peers := make([]int, 100)
	for i := range peers {
		_, peers[i] = h.stream("/x")
	}
	turn := func() {
		for range 3 {
			publish(t, h.broker, "/x", "news", len(peers))
		}
		h.turnOver()
	}
	turn()
	drain := make([]byte, 1<<16)
	perTurn := testing.AllocsPerRun(50, func() {
		turn()
		for _, peer := range peers {
			unix.Read(peer, drain)
		}
	})
	if perTurn > 15 { // three messages, each a few; 300 deliveries
		t.Errorf("%v allocations for three messages to %d streams", perTurn, len(peers))
	}
}
