package timerwheel

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// The figures are for a million timers, in 64 MB of slots that are visited in
// random order, so that nearly every visit is a cache miss.
const million = 1 << 20

// deadlines returns n times from low to high in random order.
func deadlines(n int, low, high time.Duration) []time.Duration {
	r := rand.New(rand.NewPCG(3, 4))
	d := make([]time.Duration, n)
	for k := range d {
		d[k] = low + time.Duration(r.Int64N(int64(high-low)))
	}
	return d
}

// loaded returns a wheel with a timer for each of order, 5 to 60 s ahead, over a
// table of size slots.
func loaded(size int, order []int32) (*Wheel[*chunked], *chunked) {
	table := newChunked(size)
	w := New(table, tick, 0)
	for k, at := range deadlines(len(order), 5*time.Second, time.Minute) {
		w.Schedule(order[k], at)
	}
	return w, table
}

// A timer is set and unset again, beside a million others.
func BenchmarkScheduleCancel(b *testing.B) {
	for _, c := range []struct {
		name  string
		order func(n int) []int32
	}{{"random", shuffled}, {"sequential", sequence}} {
		b.Run(c.name, func(b *testing.B) {
			order := c.order(2 * million)
			w, _ := loaded(2*million, order[:million])
			idle, at := order[million:], deadlines(million, 5*time.Second, time.Minute)
			b.ReportAllocs()
			for k := 0; b.Loop(); k++ {
				i := idle[k%million]
				w.Schedule(i, at[k%million])
				w.Cancel(i)
			}
		})
	}
}

// One of a million timers, unlike the last one visited in every respect, is moved.
func BenchmarkReschedule(b *testing.B) {
	w, _ := loaded(million, sequence(million))
	order, at := shuffled(million), deadlines(million, 5*time.Second, time.Minute)
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		w.Schedule(order[k%million], at[k%million])
	}
}

// A million timers expire, tick by tick, and are not set again.
func BenchmarkExpire(b *testing.B) {
	order := shuffled(million)
	w, table := loaded(million, order)
	at := deadlines(million, 5*time.Second, time.Minute)
	now, expiries := time.Duration(0), 0
	expire := func(i int32) { table.slot(i).touches++; expiries++ }
	b.ReportAllocs()
	b.ResetTimer()
	for expiries < b.N {
		if w.Len() == 0 {
			b.StopTimer()
			for k, i := range order {
				w.Schedule(i, now+at[k])
			}
			b.StartTimer()
		}
		now += tick
		w.Advance(now, math.MaxInt, expire)
	}
}

// A million timers expire, tick by tick, and each is set again: with 15 s they
// expire where they were put, with 60 s they move down a level before.
func BenchmarkKeepalive(b *testing.B) {
	for _, interval := range []time.Duration{15 * time.Second, time.Minute} {
		b.Run(interval.String(), func(b *testing.B) {
			table := newChunked(million)
			w := New(table, tick, 0)
			for k, at := range deadlines(million, 0, interval) {
				w.Schedule(int32(k), at)
			}
			now, expiries := time.Duration(0), 0
			expire := func(i int32) {
				table.slot(i).touches++
				expiries++
				w.Schedule(i, now+interval)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for expiries < b.N {
				now += tick
				w.Advance(now, math.MaxInt, expire)
			}
		})
	}
}

// The floor: what a visit to a slot takes, when the next visit waits for it, as it
// does along a list, and when it does not.
func BenchmarkVisit(b *testing.B) {
	table, order := newChunked(million), shuffled(million)
	for k, i := range order {
		table.slot(i).touches = uint32(order[(k+1)%million])
	}
	b.Run("list", func(b *testing.B) {
		i := int32(0)
		for b.Loop() {
			i = int32(table.slot(i).touches)
		}
	})
	b.Run("array", func(b *testing.B) {
		sum := uint32(0)
		for k := 0; b.Loop(); k++ {
			sum += table.slot(order[k%million]).touches
		}
		table.slot(0).touches += sum
	})
}

// runtimeTimers sets n timers of the runtime, an hour and more ahead, and returns
// what stops them.
func runtimeTimers(n int) (stop func()) {
	timers := make([]*time.Timer, n)
	for k, at := range deadlines(n, 5*time.Second, time.Minute) {
		timers[k] = time.AfterFunc(time.Hour+at, func() {})
	}
	return func() {
		for _, t := range timers {
			t.Stop()
		}
	}
}
