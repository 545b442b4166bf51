package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that the rests of records that are kept for streams that are behind are bounded:
// above that, streams end, those that have been behind for longest first, and one that reads
// loses nothing by it.
func TestTLSSealedBounded(t *testing.T) {
	const clients, events, size = 12, 300, 20_000
	const most = 3 * slowContent // of three streams or so
	b := channels.NewBroker(channels.Options{History: events})
	cfg := withTLS(t, Config{Listen: "127.0.0.1:0", Loops: 1, SlowTimeout: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	s, err := New(cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	s.maxSealed = most
	s.Start()
	t.Cleanup(s.Close)
	ask := func() *rawClient {
		r := dialRaw(t, s)
		r.Write(r.state.AppendData(nil, []byte("GET /x HTTP/1.1\r\nHost: test\r\n\r\n")))
		r.want("\n\n")
		return r
	}
	for range clients {
		ask()
	}
	reader := ask()
	data := func(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", size)) }
	for i := range events {
		if _, err := b.Publish("/x", channels.Event{Data: []byte(data(i))}); err != nil {
			t.Fatal(err)
		}
		reader.wantEvent(data(i))
	}
	testenv.Eventually(t, "the rests are within their bound", func() bool { return s.sealed.Load() <= most })
	testenv.Eventually(t, "streams have ended for it", func() bool { return s.Stats().Closed[reasonSlow.String()] > 0 })
	if n := s.Stats(); n.Streams < 2 {
		t.Errorf("%d streams are left, want the reader and one that is within the bound", n.Streams)
	}
}
