package server

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// startDrain begins the drain of a loop that is turned by hand.
func (h handLoop) startDrain() {
	h.server.draining.Store(true)
	h.turnOver()
}

var farewellText = regexp.MustCompile(`^((?:data: \d+\n\n|:keepalive\n\n)*)retry: (\d+)\n\nEOF$`)

// Ensure that a drain closes as many streams in one part of its time as in
// another, that each has until then what is published and its pings, and is told
// to come back at a time of its own, and that the drain is over
// soon after the last.
func TestDrainIsSpread(t *testing.T) { ssetest.Over(t, testDrainIsSpread) }

func testDrainIsSpread(t *testing.T, via ssetest.Transport) {
	const streams, period, second = 300, 30 * time.Second, time.Second
	h := turnByHandOver(t, via, Config{Drain: period, Keepalive: 3 * second}, channels.Options{})
	peers := make(map[*peer]*strings.Builder)
	for i := range streams {
		peers[h.join(via, []string{"/a", "/a?channel=/b"}[i%2])] = new(strings.Builder)
	}
	_, spare := h.connect()
	h.startDrain()
	delays := make(map[int]bool)
	want := ""
	for now := second; now <= period; now += second {
		h.pass(second)
		open := int(h.counters.streams.Load())
		if want := int(streams * (period - now) / period); open < want-1 || open > want+1 {
			t.Fatalf("%v after the begin of the drain: %d streams are open, want %d", now, open, want)
		}
		for peer, got := range peers {
			got.WriteString(peer.received())
			if !strings.HasSuffix(got.String(), "EOF") {
				continue
			}
			parts := farewellText.FindStringSubmatch(got.String())
			if parts == nil || strings.ReplaceAll(parts[1], ":keepalive\n\n", "") != want || !peer.inOrder {
				t.Fatalf("a stream of a drain got %q, ended in order: %v; want %q, pings and a farewell", got, peer.inOrder, want)
			}
			delay, _ := strconv.Atoi(parts[2])
			delays[delay] = true
			if delay < int(period.Milliseconds()/30) || delay > int(period.Milliseconds()/3) {
				t.Errorf("retry: %d, want between a thirtieth and a third of %v", delay, period)
			}
			peer.leave()
			delete(peers, peer)
		}
		if open < 2 {
			continue
		}
		// Not before the next turn, or only the farewell brings it.
		publish(t, h.broker, "/a", fmt.Sprint(now.Milliseconds()), open)
		want += fmt.Sprintf("data: %d\n\n", now.Milliseconds())
		if now%(2*second) == 0 {
			h.turnOver()
		}
	}
	if len(delays) < streams*9/10 {
		t.Errorf("%d streams share %d delays", streams, len(delays))
	}
	if h.counters.keepalives.Load() == 0 {
		t.Error("no stream was pinged")
	}
	if h.drain.over {
		t.Error("the drain is over before its lingering connections had their time")
	}
	h.pass(lingerTimeout + 2*tick)
	if !h.drain.over {
		t.Error("the drain is not over, two seconds after the last stream")
	}
	if got := received(spare); got != "" {
		t.Errorf("a connection without a request got %q, want nothing yet", got)
	}
	if got := h.counters.closed[reasonDrained].Load(); got != streams {
		t.Errorf("%d closed as %v, want %d", got, reasonDrained, streams)
	}
}

// Ensure that a drain turns away who asks for a stream meanwhile, lets a slow
// reader have what it misses, and cuts off one that does not read.
func TestDrainOfStragglers(t *testing.T) { ssetest.Over(t, testDrainOfStragglers) }

func testDrainOfStragglers(t *testing.T, via ssetest.Transport) {
	const period = 10 * time.Second
	h := turnByHandOver(t, via, Config{Drain: period}, channels.Options{})
	late, slow, stuck := h.dial(via), h.join(via, "/x"), h.join(via, "/x")
	defer late.leave()
	slow.narrow()
	stuck.narrow()
	event, want := strings.Repeat("x", 1000), ""
	for !slow.isBehind() || !stuck.isBehind() {
		publish(t, h.broker, "/x", event, 2)
		want += "data: " + event + "\n\n"
		h.turnOver()
	}
	h.startDrain()
	late.ask("/x")
	got := late.received()
	if isTold := late.status == 200 && farewellText.MatchString(got); via != ssetest.H2 && !isTold || !late.inOrder {
		t.Errorf("a stream asked for during a drain: %d, %q, ended in order: %v", late.status, got, late.inOrder)
	}
	if via == ssetest.H2 && late.h2.GoAway == nil { // it was told before it asked
		t.Error("a connection without streams is not told to go away during a drain")
	}
	h.pass(period - time.Second)
	got = ""
	for range 100 {
		got += slow.received()
		if strings.HasSuffix(got, "EOF") {
			break
		}
		slow.writable()
	}
	if rest, ok := strings.CutPrefix(got, want); !ok || !farewellText.MatchString(rest) || !slow.inOrder {
		t.Errorf("the slow reader got %d bytes that end in %.60q, want %d and a farewell", len(got), got[max(len(got)-60, 0):], len(want))
	}
	h.pass(time.Second)
	if h.drain.over {
		t.Error("the drain is over before its time was up")
	}
	h.pass(lingerTimeout + tick)
	if !h.drain.over || !stuck.isConnected() {
		t.Error("the drain does not end with one client left that does not read")
	}
}

// Ensure that Close cuts a drain short.
func TestDrainCutShort(t *testing.T) { ssetest.Over(t, testDrainCutShort) }

func testDrainCutShort(t *testing.T, via ssetest.Transport) {
	s, _ := startOver(t, via, Config{Loops: 2, Drain: time.Hour}, channels.Options{})
	c, d := subscribeOver(t, via, s, "/x"), subscribeOver(t, via, s, "/x")
	var draining sync.WaitGroup
	draining.Go(s.Drain)
	testenv.Eventually(t, "the drain has begun", s.draining.Load)
	s.Close()
	draining.Wait()
	for _, c := range []*client{c, d} {
		for b := make([]byte, 100); ; {
			if _, err := c.Read(b); err != nil {
				break
			}
		}
	}
}

// Ensure that a client that is dismissed under load and goes on, with its last id, at
// another server of the same broker, has everything once: a hundred drains.
func TestDrainUnderLoad(t *testing.T) { ssetest.Over(t, testDrainUnderLoad) }

func testDrainUnderLoad(t *testing.T, via ssetest.Transport) {
	const clients, last = 20, "last"
	drains := 100
	if via != ssetest.Plain && !testenv.Full() {
		drains = 20
	}
	broker := channels.NewBroker(channels.Options{History: 1 << 20, MaxKept: 1 << 30})
	cfg := Config{Listen: "127.0.0.1:0", Loops: 2, Drain: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	if via != ssetest.Plain {
		cfg = withTLS(t, cfg)
	}
	next := func() *Server {
		s, err := New(cfg, broker)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		s.Start()
		return s
	}
	var present atomic.Pointer[Server]
	present.Store(next())

	// follow reads numbers, one after the other, until the last event.
	follow := func() (number int, err error) {
		c := ssetest.Client{Via: via, Target: "/x", LastID: channels.Earliest}
		defer c.Close()
		deadline := time.Now().Add(patience)
		for {
			if err := c.Open(addressOf(present.Load(), via), deadline); err != nil {
				continue // it has just been closed
			}
			told := false
			for {
				ev, err := c.Next()
				switch {
				case err == io.EOF && told:
				case err != nil:
					return number, fmt.Errorf("after %d: %w; told to come back: %v", number, err, told)
				case ev.Data == last:
					return number, nil
				case ev.Data == "":
					told = told || ev.Retry > 0
					continue
				case ev.Type != "" || ev.Data != fmt.Sprint(number+1):
					return number, fmt.Errorf("after %d: %+v", number, ev)
				default:
					number++
					continue
				}
				break
			}
		}
	}
	var publisher, followers sync.WaitGroup
	numbers := make([]int, clients)
	for i := range numbers {
		followers.Go(func() {
			var err error
			if numbers[i], err = follow(); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	published := 0
	publisher.Go(func() {
		for pause := time.NewTicker(time.Millisecond); ; <-pause.C {
			select {
			case <-done:
				broker.Publish("/x", channels.Event{Data: []byte(last)})
				return
			default:
			}
			for range 5 {
				published++
				if _, err := broker.Publish("/x", channels.Event{Data: fmt.Append(nil, published)}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := 0; i < drains && !t.Failed(); i++ {
		testenv.Eventually(t, "all clients have come back", func() bool { return broker.Ports().Subscribers("/x") == clients || t.Failed() })
		old := present.Swap(next())
		old.Drain()
		if stats := old.Stats(); stats.Closed[reasonDrained.String()] < clients || stats.Closed[reasonShutdown.String()] > 0 {
			t.Errorf("drain %d closed %v", i, stats.Closed)
		}
	}
	close(done)
	publisher.Wait()
	followers.Wait()
	for i, n := range numbers {
		if n != published {
			t.Errorf("client %d has %d of %d events", i, n, published)
		}
	}
}

// Ensure that a server can be drained by several at once, and again, and that all of them
// wait until it has ended.
func TestDrainTwice(t *testing.T) { ssetest.Over(t, testDrainTwice) }

func testDrainTwice(t *testing.T, via ssetest.Transport) {
	s, _ := startOver(t, via, Config{Drain: 50 * time.Millisecond}, channels.Options{})
	c := subscribeOver(t, via, s, "/a")
	var drains sync.WaitGroup
	for range 3 {
		drains.Go(func() {
			s.Drain()
			if open := s.Stats().Connections; open != 0 {
				t.Errorf("%d connections are open after a drain, want none", open)
			}
		})
	}
	if line := c.line(); !strings.HasPrefix(line, "retry: ") {
		t.Errorf("a stream that is drained gets %q, want a retry", line)
	}
	drains.Wait()
	s.Drain()
}
