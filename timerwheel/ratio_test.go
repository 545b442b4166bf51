package timerwheel

import (
	"slices"
	"testing"
	"time"
)

// A timer is set and unset beside a million others, here and with the runtime's
// timers, in turn: either handle is kept with a connection that is visited in
// random order. The metric "x" is how many times as long the runtime takes, the
// median of the rounds. It asserts nothing: both sides wait for memory, which a
// neighbour on the machine slows unequally.
func BenchmarkBesideAfterFunc(b *testing.B) {
	order := shuffled(2 * million)
	w, _ := loaded(2*million, order[:million])
	idle, at := order[million:], deadlines(million, 5*time.Second, time.Minute)
	handles := make([]*time.Timer, 2*million)
	stop := runtimeTimers(million)
	defer stop()

	const ops = 200_000
	timed := func(op func(k int)) time.Duration {
		start := time.Now()
		for k := range ops {
			op(k)
		}
		return time.Since(start)
	}
	var ratios []float64
	for b.Loop() {
		wheel := timed(func(k int) {
			w.Schedule(idle[k], at[k])
			w.Cancel(idle[k])
		})
		runtime := timed(func(k int) {
			handles[idle[k]] = time.AfterFunc(time.Hour+at[k], func() {})
			handles[idle[k]].Stop()
		})
		ratios = append(ratios, float64(runtime)/float64(wheel))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x")
}
