package server

import (
	"fmt"
	"testing"
	"time"

	"millrace/channels"
)

// BenchmarkHandOver hands one loop with many idle streams over, to and fro in one process: the
// time of the processor a stream takes of both sides, and for how long nobody serves them.
func BenchmarkHandOver(b *testing.B) {
	for _, streams := range []int{1000, 15_000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			opts := channels.Options{}
			s, _ := start(b, Config{Loops: 1, FDTables: FDTablesPerLoop, Keepalive: time.Minute}, opts)
			for i := range streams {
				subscribe(b, s, fmt.Sprintf("/%d", i%100))
			}
			var pause, cpu time.Duration
			for b.Loop() {
				u := succeed(b, s, opts)
				before := processorTime()
				u.hand(0)
				p, err := s.CommitLoop(0)
				if err != nil {
					b.Fatal(err)
				}
				cpu += time.Duration(processorTime() - before)
				pause += p
				u.await(0, Serving)
				u.over()
				s = u.next
			}
			b.ReportMetric(float64(pause.Microseconds())/float64(b.N)/1000, "pause-ms")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/float64(streams), "cpu-ns/stream")
		})
	}
}
