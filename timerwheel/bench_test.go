package timerwheel

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	million   = 1 << 20
	chunkBits = 10
	tick      = 10 * time.Millisecond
)

// slot stands for the server's connection slot: one cache line without pointers.
type slot struct {
	_     [20]byte
	timer Node
	fired uint32
	_     [28]byte
}

// chunked is a table like the server's: chunks of 1024 slots.
type chunked struct{ chunks []*[1 << chunkBits]slot }

func newChunked(n int) *chunked {
	t := &chunked{}
	for range (n + 1<<chunkBits - 1) >> chunkBits {
		t.chunks = append(t.chunks, new([1 << chunkBits]slot))
	}
	return t
}

func (t *chunked) slot(i int32) *slot { return &t.chunks[i>>chunkBits][i&(1<<chunkBits-1)] }
func (t *chunked) Node(i int32) *Node { return &t.slot(i).timer }

func order(n int) []int32 {
	o := make([]int32, n)
	for i, j := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		o[i] = int32(j)
	}
	return o
}

func deadlines(n int) []time.Duration {
	r := rand.New(rand.NewPCG(3, 4))
	d := make([]time.Duration, n)
	for i := range d {
		d[i] = 5*time.Second + time.Duration(r.Int64N(int64(55*time.Second)))
	}
	return d
}

func BenchmarkScheduleCancel(b *testing.B) {
	table := newChunked(million)
	w := New(table, tick, 0)
	o, d := order(million), deadlines(million)
	for i := range o {
		w.Schedule(o[i], d[i])
	}
	o2 := order(million)
	b.ReportAllocs()
	b.ResetTimer()
	for k := range b.N {
		i := o2[k%million]
		w.Cancel(i)
		w.Schedule(i, d[(k+7)%million])
	}
}

func BenchmarkExpire(b *testing.B) {
	table := newChunked(million)
	o, d := order(million), deadlines(million)
	b.ReportAllocs()
	var n int
	for range b.N {
		b.StopTimer()
		w := New(table, tick, 0)
		for i := range o {
			w.Schedule(o[i], d[i])
		}
		b.StartTimer()
		for now := tick; w.Len() > 0; now += tick {
			w.Advance(now, million, func(i int32) { table.slot(i).fired++; n++ })
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/timer")
}

func BenchmarkKeepalive(b *testing.B) {
	for _, interval := range []time.Duration{15 * time.Second, 60 * time.Second} {
		b.Run(interval.String(), func(b *testing.B) {
			table := newChunked(million)
			o := order(million)
			r := rand.New(rand.NewPCG(3, 4))
			w := New(table, tick, 0)
			for i := range o {
				w.Schedule(o[i], time.Duration(r.Int64N(int64(interval))))
			}
			var now time.Duration
			fired := 0
			expire := func(i int32) {
				table.slot(i).fired++
				fired++
				w.Schedule(i, now+interval)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for fired < b.N {
				now += tick
				w.Advance(now, million, expire)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fired), "ns/timer")
		})
	}
}
