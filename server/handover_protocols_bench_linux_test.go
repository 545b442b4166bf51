package server

import (
	"testing"
	"time"
)

// BenchmarkHandOverProtocols hands streams over: of HTTP/1.1 in the clear and with TLS, and of HTTP/2, one
// and six on a connection. It tells the time of the processor that a stream takes in both
// processes together.
func BenchmarkHandOverProtocols(b *testing.B) {
	const streams = 1800
	for _, bm := range []struct {
		name string
		each int
		seal bool
	}{{"plain", 0, false}, {"TLS", 0, true}, {"h2", 1, false}, {"h2, six", 6, false}} {
		b.Run(bm.name, func(b *testing.B) {
			f := newH2Fleet(b, streams, bm.each)
			h := f.handLoop
			if bm.seal {
				h.table.each(h.number, func(c *conn) {
					if c.state == stateStream {
						f.seal(c)
					}
				})
			}
			var took time.Duration
			b.ResetTimer()
			for range b.N {
				v := h.embark()
				start := processorTime()
				v.prepare()
				v.commit()
				took += time.Duration(processorTime() - start)
				v.end()
				h = v.to
			}
			if n := h.counters.streams.Load(); n != streams {
				b.Fatalf("%d streams in the end, want %d", n, streams)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*streams), "ns/stream")
			b.ReportMetric(0, "ns/op")
		})
	}
}
