package timerwheel

import (
	"testing"
	"time"

	"millrace/internal/testenv"
)

// Ensure that setting and unsetting a timer beside a million others takes less
// than with the runtime's timers, when either is kept with a connection that is
// visited in random order. The best of several rounds counts on each side.
func TestFasterThanAfterFunc(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector slows the two sides down unequally")
	}
	if testing.Short() {
		t.Skip("a million timers on each side take seconds")
	}
	order := shuffled(2 * million)
	w, _ := loaded(2*million, order[:million])
	idle, at := order[million:], deadlines(million, 5*time.Second, time.Minute)
	handles := make([]*time.Timer, 2*million)
	stop := runtimeTimers(million)
	defer stop()

	const ops = 200_000
	best := func(best time.Duration, op func(k int)) time.Duration {
		start := time.Now()
		for k := range ops {
			op(k)
		}
		return min(best, time.Since(start))
	}
	wheel, runtime := time.Hour, time.Hour
	for range 7 {
		wheel = best(wheel, func(k int) {
			w.Schedule(idle[k], at[k])
			w.Cancel(idle[k])
		})
		runtime = best(runtime, func(k int) {
			handles[idle[k]] = time.AfterFunc(time.Hour+at[k], func() {})
			handles[idle[k]].Stop()
		})
	}
	t.Logf("wheel %v, time.AfterFunc and Stop %v: a ratio of %.1f", wheel/ops, runtime/ops, float64(runtime)/float64(wheel))
	if wheel >= runtime {
		t.Errorf("wheel %v, time.AfterFunc and Stop %v: the wheel should be faster", wheel/ops, runtime/ops)
	}
}
