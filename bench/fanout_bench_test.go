package bench

import (
	"testing"

	"millrace/server"
)

// benchStreams is small enough for a benchmark to be over soon. The tests of
// figures take more.
const benchStreams = 2_000

// One event to every stream: what each delivery costs the server.
func BenchmarkFanOut(b *testing.B) {
	const size = 16
	run := func(b *testing.B, r *rig) {
		r.connect(benchStreams)
		r.broadcast() // the first one finds everything cold
		before := r.cpu()
		for b.Loop() {
			r.broadcast()
		}
		deliveries := float64(benchStreams * b.N)
		b.ReportMetric(float64((r.cpu()-before).Microseconds())/deliveries, "us-cpu/delivery")
		b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	}
	b.Run("millrace", func(b *testing.B) {
		r, _ := newMillrace(b, MillraceArgs{}, size)
		run(b, r)
	})
	b.Run("floor", func(b *testing.B) { run(b, newFloor(b, size)) })
}

// A hundred events at once to every stream.
func BenchmarkPipeline(b *testing.B) {
	const size, events = 16, 100
	r, client := newMillrace(b, MillraceArgs{}, size)
	r.connect(benchStreams)
	before := r.cpu()
	for b.Loop() {
		r.pipeline(client, events)
	}
	deliveries := float64(benchStreams * events * b.N)
	b.ReportMetric(float64((r.cpu()-before).Nanoseconds())/deliveries, "ns-cpu/delivery")
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	var stats server.Stats
	call(b, r.server, "Stats", None{}, &stats)
	b.ReportMetric(float64(stats.Deliveries)/float64(stats.Writes), "events/write")
}

// Streams are opened, asked for and answered: what each costs the server.
func BenchmarkConnect(b *testing.B) {
	run := func(b *testing.B, r *rig) {
		before := r.cpu()
		for b.Loop() {
			r.connect(benchStreams)
			r.clients.Close()
		}
		b.ReportMetric(float64((r.cpu()-before).Microseconds())/float64(benchStreams*b.N), "us-cpu/stream")
		b.ReportMetric(float64(benchStreams*b.N)/b.Elapsed().Seconds(), "streams/s")
	}
	b.Run("millrace", func(b *testing.B) {
		r, _ := newMillrace(b, MillraceArgs{}, 1)
		run(b, r)
	})
	b.Run("floor", func(b *testing.B) { run(b, newFloor(b, 1)) })
}
