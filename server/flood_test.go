package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/ssetest"
)

// Ensure that publishers who publish as fast as they can wait for the loops: what
// waits stays bounded, every stream has each publisher's events in order, and a
// stream of another channel is pinged meanwhile.
func TestPublisherFlood(t *testing.T) { ssetest.Over(t, testPublisherFlood) }

func testPublisherFlood(t *testing.T, via ssetest.Transport) {
	const publishers, streams, events, keepalive = 8, 20, 2000, 200 * time.Millisecond
	s, b := startOver(t, via, Config{Loops: 2, Keepalive: keepalive}, channels.Options{History: publishers * events, PublishTimeout: patience})
	silent := resumable(t, via, s, "/silent")
	var readers, writers sync.WaitGroup
	for range streams {
		c := resumable(t, via, s, "/flood")
		readers.Go(func() {
			var next [publishers]int
			for read := 0; read < publishers*events; {
				line, err := c.r.ReadString('\n')
				if err != nil {
					t.Errorf("after %d events: %v", read, err)
					return
				}
				if !strings.HasPrefix(line, "data: ") {
					continue
				}
				var publisher, number int
				if _, err := fmt.Sscanf(line, "data: %d %d", &publisher, &number); err != nil || number != next[publisher] {
					t.Errorf("%.40q, want number %d of that publisher (%v)", line, next[publisher], err)
					return
				}
				next[publisher]++
				read++
			}
		})
	}
	began := time.Now()
	filling := strings.Repeat("x", 500)
	for publisher := range publishers {
		writers.Go(func() {
			for i := range events {
				if _, err := b.Publish("/flood", channels.Event{Data: fmt.Appendf(nil, "%d %d %s", publisher, i, filling)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pings, done := 0, make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	most, poll := 0, time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-poll.C:
			for _, l := range s.loops {
				most = max(most, l.inbox.Len())
			}
		}
	}
	readers.Wait()
	periods := int(time.Since(began) / keepalive)
	silent.SetReadDeadline(time.Now().Add(keepalive))
	for {
		if _, err := silent.r.ReadString('\n'); err != nil {
			break
		}
		pings++
	}
	pings /= 2 // those were lines, two a ping
	t.Logf("%d periods, %d pings; at most %d messages waited for a loop", periods, pings, most)
	// 1 MiB may wait for a loop, and one more message of each publisher.
	if bound := 1<<20/len(filling) + publishers; most > bound {
		t.Errorf("%d messages waited for a loop, want at most %d", most, bound)
	}
	if pings < periods/2-1 {
		t.Errorf("%d pings in %d periods", pings, periods)
	}
}

// resumable opens a stream on target of a server with history, and reads its head and
// greeting.
func resumable(t testing.TB, via ssetest.Transport, s *Server, target string) *client {
	t.Helper()
	c := openOver(t, via, s, target)
	for c.line() != "\n" { // the greeting
	}
	return c
}
