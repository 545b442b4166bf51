package server

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/netpoll"
)

// BenchmarkConnect is a stream from its request to its greeting, over a socket pair:
// without an authorizer, with one that decides at once, and with one that decides later.
func BenchmarkConnect(b *testing.B) {
	grant := authorizer(func(r *auth.Request, now time.Time) auth.Verdict {
		return auth.Verdict{Means: "jwt", Channels: r.Channels, User: r.Authorization[len("Bearer "):], Expires: now.Add(time.Hour)}
	})
	for _, bb := range []struct {
		name       string
		authorizer auth.Authorizer
	}{{"open", nil}, {"at once", grant}, {"later", &late{Authorizer: grant}}} {
		b.Run(bb.name, func(b *testing.B) {
			h := turnByHand(b, Config{Authorizer: bb.authorizer, Keepalive: 15 * time.Second}, channels.Options{})
			answer := make([]byte, 4<<10)
			i, before := 0, processorTime()
			for b.Loop() {
				i++
				ours, peer := socketPair(b)
				if err := h.open(int32(ours), netpoll.Peer{}, false); err != nil {
					b.Fatal(err)
				}
				unix.Write(peer, fmt.Appendf(nil, "GET /rooms/%d HTTP/1.1\r\nHost: events.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"+
					"Accept: text/event-stream\r\nAuthorization: Bearer user%d\r\nCookie: theme=dark\r\n\r\n", i%100, i%1000))
				h.on(int32(ours), true, false)
				if later, ok := bb.authorizer.(*late); ok {
					later.answer()
					h.turnOver()
				}
				n, err := unix.Read(peer, answer)
				if err != nil || n < len("HTTP/1.1 200 OK") || string(answer[9:12]) != "200" {
					b.Fatalf("%q, %v", answer[:max(n, 0)], err)
				}
				h.end(h.conn(int32(ours)), reasonClient)
				unix.Close(peer)
			}
			b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what the process has used of processors, in nanoseconds: on a busy
// machine that tells more than the time on the wall.
func processorTime() int64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
