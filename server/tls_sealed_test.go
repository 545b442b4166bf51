package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
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

// Ensure that of the streams of all loops those end that have been behind for longest, and not
// those of the loop that comes upon the bound.
func TestTLSLongestBehindEnds(t *testing.T) {
	const early, late = 8, 3
	s, b := start(t, withTLS(t, Config{Loops: 2, SlowTimeout: time.Hour}), channels.Options{})
	conns := [2][]*rawClient{}
	for len(conns[0]) < early || len(conns[1]) < late { // the kernel chooses the loop
		before := s.LoopStats()
		r := dialRaw(t, s)
		r.Conn.(*net.TCPConn).SetReadBuffer(8 << 10) // so that all are behind soon
		testenv.Eventually(t, "a loop has the connection", func() bool {
			for i, n := range s.LoopStats() {
				if n.Connections > before[i].Connections {
					conns[i] = append(conns[i], r)
					return true
				}
			}
			return false
		})
	}
	block := func(channel string, loop, n int) {
		t.Helper()
		for _, r := range conns[loop][:n] {
			r.Write(r.state.AppendData(nil, []byte("GET "+channel+" HTTP/1.1\r\nHost: test\r\n\r\n")))
			r.want(":\n\n")
		}
		before := s.Stats()
		ended := func() int64 { return int64(s.Stats().Closed[reasonSlow.String()] - before.Closed[reasonSlow.String()]) }
		testenv.Eventually(t, channel+" is behind", func() bool {
			if s.LoopStats()[loop].Behind < int64(n) {
				b.Publish(channel, channels.Event{Data: bytes.Repeat([]byte("x"), 50_000)})
			}
			return s.Stats().Behind+ended() == before.Behind+int64(n)
		})
	}
	block("/early", 0, early)
	s.sealed.Add(maxSealed - s.sealed.Load()) // with what others have
	block("/late", 1, late)
	testenv.Eventually(t, "the rests are within their bound", func() bool { return s.sealed.Load() <= maxSealed })
	streams := s.LoopStats()
	if streams[0].Streams == early || streams[1].Streams != late {
		t.Errorf("of %d streams that fell behind early %d are left, of %d late ones %d; want some of the early ones ended, and none of the late",
			early, streams[0].Streams, late, streams[1].Streams)
	}
}
