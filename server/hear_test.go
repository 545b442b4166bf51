package server

import (
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that a client which sends behind its request head is read so far and no
// further, in whatever state its connection is, and that what browsers and
// proxies may send there ends no stream.
func TestClientsThatKeepSending(t *testing.T) {
	for _, tt := range []struct {
		request string
		why     reason
	}{
		{"GET /x HTTP/1.1\r\nHost: test\r\n\r\n", reasonTalks},
		{"GET /late HTTP/1.1\r\nHost: test\r\n\r\n", reasonTalks},
		{"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n", reasonAnswered},
	} {
		for _, piece := range []int{100, readSize} {
			h := turnByHand(t, Config{}, channels.Options{Backplane: lateEngine{"/late"}})
			fd, peer := h.connect()
			unixWrite(t, peer, tt.request+strings.Repeat("x", 1000))
			h.on(fd, true, false)
			sent := 1000
			for h.counters.connections.Load() > 0 {
				if sent > maxHeard+piece {
					t.Fatalf("%.14q: %d bytes behind its head were read, want at most %d", tt.request, sent, maxHeard)
				}
				unixWrite(t, peer, strings.Repeat("x", piece))
				sent += piece
				h.on(fd, true, false)
			}
			if sent <= maxHeard {
				t.Errorf("%.14q: ended after %d bytes behind its head, want %d to be borne", tt.request, sent, maxHeard)
			}
			if n := h.counters.closed[tt.why].Load(); n != 1 {
				t.Errorf("%.14q: %d connections ended by %q, want 1", tt.request, n, tt.why)
			}
		}
	}
}

// Ensure that a client cannot take a processor by sending: the loop of one that
// sends as fast as it can reads no more than is borne, and serves others.
func TestFloodOfBytes(t *testing.T) {
	s, b := start(t, Config{Loops: 1}, channels.Options{})
	other := subscribe(t, s, "/x")
	c := subscribe(t, s, "/x")
	flood := make([]byte, 1<<20)
	for sent := 0; ; {
		n, err := c.Write(flood)
		if sent += n; err != nil {
			break
		}
		if sent > 1<<30 {
			t.Fatalf("%d bytes were taken from one client", sent)
		}
	}
	testenv.Eventually(t, "the one that keeps sending is ended", func() bool { return b.Ports().Subscribers("/x") == 1 })
	if n := s.Stats().Closed[reasonTalks.String()]; n != 1 {
		t.Errorf("%d streams ended by %q, want 1", n, reasonTalks)
	}
	publish(t, b, "/x", "news", 1)
	other.want("data: news\n\n")
}
