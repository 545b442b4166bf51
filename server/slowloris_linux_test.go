package server

import (
	"io"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that clients that send a byte a second are ended at the deadline, which
// counts from the beginning and not from the last byte: all of them, and none a
// tick before.
func TestSlowloris(t *testing.T) {
	clients := 4000
	if testing.Short() {
		clients = 400
	}
	const timeout = 10 * time.Second
	h := turnByHand(t, Config{HeaderTimeout: timeout}, channels.Options{})
	peers := make(map[int32]int, clients) // by the loop's descriptor
	for range clients {
		fd, peer := h.connect()
		peers[fd] = peer
	}
	for i := range int(timeout / time.Second) {
		for fd, peer := range peers {
			unixWrite(t, peer, askX[i:i+1])
			h.on(fd, true, false)
		}
		h.pass(time.Second - tick)
		if len(h.unfinished.m) != clients {
			t.Fatalf("%d of %d clients are waited for after %v, want all for %v", len(h.unfinished.m), clients, *h.time, timeout)
		}
		h.pass(tick)
	}
	h.pass(tick)
	if len(h.unfinished.m) != 0 {
		t.Errorf("%d of %d clients are waited for after %v, want none after %v", len(h.unfinished.m), clients, *h.time, timeout)
	}
	for _, peer := range peers {
		if answer := received(peer); !strings.HasPrefix(answer, "HTTP/1.1 408 ") {
			t.Fatalf("a slow client got %q, want a 408", answer)
		}
	}
	h.pass(lingerTimeout + tick)
	if got := h.server.Stats(); got.Connections != 0 || got.Closed[reasonAnswered.String()] != uint64(clients) {
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
	testenv.Eventually(t, "only the stream is left", func() bool { return s.Stats().Connections == 1 })
	closed := s.Stats().Closed
	if n := closed[reasonAnswered.String()] + closed[reasonClient.String()]; n != uint64(clients) {
		t.Errorf("%d slow clients, closed are %v", clients, closed)
	}
}
