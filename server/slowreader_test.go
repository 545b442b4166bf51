package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// narrow makes the loop's end of a connection take little at once.
func narrow(t testing.TB, fd int32) {
	t.Helper()
	if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
}

// Ensure that streams that read at random speeds get every message once and in
// order, on one channel and on several, cut where the socket happened to be
// full, and that others are not held up.
func TestSlowReadersCatchUp(t *testing.T) { ssetest.Over(t, testSlowReadersCatchUp) }

func testSlowReadersCatchUp(t *testing.T, via ssetest.Transport) {
	h := turnByHandOver(t, via, Config{Keepalive: time.Second}, channels.Options{})
	type stream struct {
		*peer
		want, got strings.Builder
	}
	var slow []*stream
	for i := range 30 {
		s := &stream{peer: h.join(via, []string{"/a", "/b?channel=/a", "/a?channel=/c"}[i%3])}
		s.narrow()
		slow = append(slow, s)
	}
	fast := h.join(via, "/a")
	random := rand.New(rand.NewPCG(3, 4))
	fellBehind := 0
	for i := range 400 {
		data := fmt.Sprintf("%d %s", i, strings.Repeat("x", random.IntN(1500)))
		publish(t, h.broker, "/a", data, len(slow)+1)
		event := "data: " + data + "\n\n"
		for _, s := range slow {
			s.want.WriteString(event)
		}
		if random.IntN(2) == 0 {
			h.turnOver()
		}
		for _, s := range slow {
			if random.IntN(12) == 0 {
				s.got.WriteString(s.received())
			}
			if s.isBehind() {
				fellBehind++
				s.writable() // or not: the event is a hint
			}
		}
		h.turnOver()
		if got := strings.ReplaceAll(fast.received(), ":keepalive\n\n", ""); !strings.HasSuffix(event, got) && got != event && !strings.HasSuffix(got, event) {
			t.Fatalf("the fast stream got %.60q after %.60q", got, event)
		}
	}
	if fellBehind < 100 {
		t.Fatalf("streams were behind %d times only", fellBehind)
	}
	for i, s := range slow {
		for s.isBehind() {
			s.got.WriteString(s.received())
			s.writable()
		}
		s.got.WriteString(s.received())
		if got := strings.ReplaceAll(s.got.String(), ":keepalive\n\n", ""); got != s.want.String() {
			t.Fatalf("slow stream %d: got %d bytes, want %d", i, len(got), s.want.Len())
		}
	}
	stats := h.server.Stats()
	if want := uint64(400 * (len(slow) + 1)); stats.Deliveries != want || stats.Behind != 0 || len(h.readers.m) != 0 {
		t.Errorf("deliveries %d, want %d; behind %d, readers %d, want none", stats.Deliveries, want, stats.Behind, len(h.readers.m))
	}
}

// Ensure that a stream that is behind for too long is ended, counted under
// that reason, and not pinged meanwhile.
func TestSlowTimeout(t *testing.T) { ssetest.Over(t, testSlowTimeout) }

func testSlowTimeout(t *testing.T, via ssetest.Transport) {
	h := turnByHandOver(t, via, Config{Keepalive: time.Second, SlowTimeout: 30 * time.Second}, channels.Options{})
	slow := h.join(via, "/x")
	slow.narrow()
	for !slow.isBehind() {
		publish(t, h.broker, "/x", strings.Repeat("x", 1000), 1)
		h.turnOver()
	}
	pings := h.counters.keepalives.Load()
	h.pass(29 * time.Second)
	if !slow.isOpen() || h.counters.keepalives.Load() != pings {
		t.Fatalf("within the slow timeout a stream that is behind was ended (%v) or pinged (%d times)", !slow.isOpen(), h.counters.keepalives.Load()-pings)
	}
	h.pass(1100 * time.Millisecond)
	if got := slow.received(); !strings.HasSuffix(got, "EOF") {
		t.Errorf("after the slow timeout: %.40q..., want the end", got)
	}
	if got := h.counters.closed[reasonSlow].Load(); got != 1 || h.broker.Ports().Subscribers("/x") != 0 || len(h.readers.m) != 0 {
		t.Errorf("%d closed as slow, %d subscribers, %d readers; want 1, 0, 0", got, h.broker.Ports().Subscribers("/x"), len(h.readers.m))
	}
}

// Ensure that a reader that takes bytes is given the time that it needs, and that one
// that takes less than the floor rate is ended by the slow timeout.
func TestSlowTimeoutCountsFromTheLastByte(t *testing.T) {
	ssetest.Over(t, testSlowTimeoutCountsFromTheLastByte)
}

func testSlowTimeoutCountsFromTheLastByte(t *testing.T, via ssetest.Transport) {
	const timeout, step = 6 * time.Second, 100 * time.Millisecond
	for _, test := range []struct {
		rate  int // bytes a second
		ended bool
	}{{200_000, false}, {20_000, false}, {floorRate / 2, true}, {40, true}, {0, true}} {
		h := turnByHandOver(t, via, Config{SlowTimeout: timeout}, channels.Options{MaxEventBytes: 8 << 20})
		reader := h.join(via, "/x")
		reader.narrow()
		data := strings.Repeat("x", 20*test.rate+1<<17) // 20 s or more
		publish(t, h.broker, "/x", data, 1)
		h.turnOver()
		got, before, began := 0, reader.took, *h.time
		for got < len("data: \n\n")+len(data) && reader.isOpen() {
			due := test.rate*int(*h.time-began+step)/int(time.Second) - (reader.took - before)
			got += len(reader.receive(due))
			if reader.isBehind() {
				reader.writable()
			}
			h.pass(step)
		}
		if ended := !reader.isOpen(); ended != test.ended {
			t.Errorf("at %d bytes a second: ended %v, with %d of %d bytes after %v", test.rate, ended, got, len(data), *h.time-began)
		}
		if took := *h.time - began; test.ended && took > 2*timeout {
			t.Errorf("at %d bytes a second: ended after %v", test.rate, took)
		}
	}
}

// Ensure that a reader that never reads costs a bounded amount: it is ended
// once the broker has dropped what it misses, while another stream of the same
// channel gets everything.
func TestNeverReads(t *testing.T) { ssetest.Over(t, testNeverReads) }

func testNeverReads(t *testing.T, via ssetest.Transport) {
	s, b := startOver(t, via, Config{Loops: 1}, channels.Options{})
	never := subscribeOver(t, via, s, "/x")
	healthy := subscribeOver(t, via, s, "/x")
	data := strings.Repeat("x", 60_000)
	event := "data: " + data + "\n\n"
	for i := range 1000 {
		n, err := b.Publish("/x", channels.Event{Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		healthy.want(event)
		if n.Receivers == 1 {
			t.Logf("ended after %d events of %d bytes", i, len(event))
			break
		}
	}
	testenv.Eventually(t, "the one that never reads is ended", func() bool { return s.Stats().Closed[reasonLapped.String()] == 1 })
	never.Close()
	publish(t, b, "/x", "still here", 1)
	healthy.want("data: still here\n\n")
}
