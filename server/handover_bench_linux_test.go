package server

import (
	"fmt"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
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
				pause += u.commit(0)
				cpu += time.Duration(processorTime() - before)
				u.over()
				s = u.next
			}
			b.ReportMetric(float64(pause.Microseconds())/float64(b.N)/1000, "pause-ms")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/float64(streams), "cpu-ns/stream")
		})
	}
}

// BenchmarkTakeBack takes one loop back whose successor has ended after the commit: the time
// that this takes a stream, of idle ones and of ones to which the successor has written.
func BenchmarkTakeBack(b *testing.B) {
	const streams = 10_000
	for _, messages := range []int{0, 1} {
		b.Run(fmt.Sprint(messages, " messages"), func(b *testing.B) {
			opts := channels.Options{}
			s, broker := start(b, Config{Loops: 1, FDTables: FDTablesPerLoop, Keepalive: time.Minute}, opts)
			for i := range streams {
				subscribe(b, s, fmt.Sprintf("/%d", i%100))
			}
			taken := time.Duration(0)
			for b.Loop() {
				u := succeed(b, s, opts)
				u.hand(0)
				u.commit(0)
				for range messages {
					for i := range 100 {
						publish(b, broker, fmt.Sprintf("/%d", i), "x", streams/100)
					}
				}
				testenv.Eventually(b, "the successor has written", func() bool {
					return u.next.Stats().Deliveries == uint64(messages*streams)
				})
				u.next.LetGo()
				u.next.Close()
				before := time.Now()
				t, err := s.TakeBack()
				taken += time.Since(before)
				if err != nil || t.Connections != streams || t.Written != messages*streams {
					b.Fatalf("%+v, %v", t, err)
				}
				u.tap.Close()
				<-u.relaying
			}
			b.ReportMetric(float64(taken.Nanoseconds())/float64(b.N)/streams, "ns/stream")
		})
	}
}
