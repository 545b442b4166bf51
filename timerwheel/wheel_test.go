package timerwheel

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"
)

const tick = 10 * time.Millisecond

// Ensure that a node stays within its place in the owner's record.
func TestNodeSize(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); size != 12 {
		t.Errorf("a Node has %d bytes, want 12", size)
	}
	if size := unsafe.Sizeof(block{}); size != 64 {
		t.Errorf("a block has %d bytes, want a cache line of 64", size)
	}
}

// Ensure that a timer expires in the first tick not before its deadline, on
// either side of every border between ticks and levels, from an aligned start and
// from an unaligned one, by single steps and by one jump.
func TestExpiryTick(t *testing.T) {
	const year = 365 * 24 * time.Hour
	starts := []time.Duration{0, 1, tick - 1, tick, 4095 * tick, 4096*tick + 3, year}
	ticks := []time.Duration{0, 1, 2, 63, 64, 65, 4094, 4095, 4096, 4097, 8191, 8192,
		1<<24 - 1, 1 << 24, 1<<24 + 1, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<36 - 1, 1 << 36, 1<<36 + 1}
	for _, start := range starts {
		for _, n := range ticks {
			for _, part := range []time.Duration{-1, 0, 1, tick / 2} {
				at := start + n*tick + part
				want := (at + tick - 1) / tick * tick
				if at <= start {
					want = (start/tick + 1) * tick // at is past
				}
				if want <= start {
					want += tick
				}
				name := fmt.Sprintf("from %v, at %v", start, at)
				w := New(newChunked(1), tick, start)
				w.Schedule(0, at)
				fired := 0
				expire := func(int32) { fired++ }
				for now := start; ; {
					next, ok := w.Next()
					if !ok || next > want || next <= now {
						t.Fatalf("%s: at %v, Next() = %v, %t, want later, and at most %v", name, now, next, ok, want)
					}
					now = next
					if next == want {
						break
					}
					w.Advance(next, math.MaxInt, expire)
				}
				if w.Advance(want-1, math.MaxInt, expire); fired != 0 {
					t.Errorf("%s: expired before %v", name, want)
				}
				if w.Advance(want, math.MaxInt, expire); fired != 1 {
					t.Errorf("%s: expired %d times at %v, want once", name, fired, want)
				}
				w = New(newChunked(1), tick, start)
				w.Schedule(0, at)
				if w.Advance(want+100*year, math.MaxInt, expire); fired != 2 || w.Len() != 0 {
					t.Errorf("%s: lost in a jump over it", name)
				}
			}
		}
	}
}

// Ensure that the last of all durations can be a deadline and a time.
func TestEndOfTime(t *testing.T) {
	for _, tick := range []time.Duration{MinTick, MinTick + 1, time.Hour} {
		w := New(newChunked(1), tick, 0)
		w.Schedule(0, math.MaxInt64)
		if more := w.Advance(math.MaxInt64-tick, 100, func(int32) { t.Errorf("tick %v: early", tick) }); more {
			t.Errorf("tick %v: more to do", tick)
		}
		if at, ok := w.Next(); !ok || at < math.MaxInt64-tick {
			t.Errorf("tick %v: Next() = %v, %t, want the last tick", tick, at, ok)
		}
	}
}

// Ensure that Next is exact within the reach of level 0, also after a long idle
// time, and that a now which goes back changes nothing.
func TestNextAfterIdleTime(t *testing.T) {
	w := New(newChunked(1), tick, 0)
	w.Advance(time.Hour, math.MaxInt, nil)
	w.Advance(time.Minute, math.MaxInt, nil)
	w.Schedule(0, 2*time.Minute)
	if at, ok := w.Next(); !ok || at != time.Hour+tick {
		t.Errorf("past deadline: Next() = %v, %t, want %v", at, ok, time.Hour+tick)
	}
	w.Schedule(0, time.Hour+4095*tick)
	if at, ok := w.Next(); !ok || at != time.Hour+4095*tick {
		t.Errorf("Next() = %v, %t, want %v", at, ok, time.Hour+4095*tick)
	}
	w.Cancel(0)
	w.Cancel(0)
	if at, ok := w.Next(); ok {
		t.Errorf("empty wheel: Next() = %v", at)
	}
}

// Ensure that a jump costs what there is to do, not what it passes over.
func TestJumpCost(t *testing.T) {
	w := New(newChunked(1), tick, 0)
	w.Schedule(0, 100*365*24*time.Hour)
	if w.Advance(200*365*24*time.Hour, levels, func(int32) {}) {
		t.Errorf("one timer took more than a move through each of %d levels", levels)
	}
}

// Ensure that expire can reschedule its own index, and unset and move those due
// in the same tick, and that Advance returns although it always schedules anew.
func TestFromExpire(t *testing.T) {
	w := New(newChunked(100), tick, 0)
	for i := range int32(100) {
		w.Schedule(i, tick)
	}
	var order []int32
	expire := func(i int32) {
		order = append(order, i)
		w.Schedule(i, 0)
		if len(order) == 1 {
			for j := range int32(100) {
				if j != i && j%2 == 0 {
					w.Cancel(j)
				} else if j != i && j%4 == 1 {
					w.Schedule(j, 0)
				}
			}
		}
	}
	if w.Advance(100*tick, 1000, expire) {
		t.Error("more to do after 1000 expiries of 100 timers")
	}
	first := order[0]
	want := 1
	for j := range int32(100) {
		if j != first && j%4 == 3 {
			want++
		}
	}
	if len(order) != want {
		t.Errorf("%d expired, want %d: the first, and those it left alone", len(order), want)
	}
	if at, ok := w.Next(); !ok || at != 101*tick {
		t.Errorf("Next() = %v, %t, want %v, the tick after the Advance", at, ok, 101*tick)
	}
}

// Ensure that no budget means no work.
func TestBudget(t *testing.T) {
	for _, budget := range []int{0, -1} {
		w := New(newChunked(1), tick, 0)
		w.Schedule(0, tick)
		if w.Advance(tick-1, budget, nil) {
			t.Errorf("budget %d: more to do before anything is due", budget)
		}
		if !w.Advance(tick, budget, nil) {
			t.Errorf("budget %d: nothing to do for a timer that is due", budget)
		}
	}
}

// Ensure that New names the value it refuses.
func TestNewPanics(t *testing.T) {
	for _, c := range []struct {
		tick, now time.Duration
		want      string
	}{
		{0, 0, "timerwheel: tick is 0s, want at least 100µs"},
		{MinTick - 1, 0, "timerwheel: tick is 99.999µs, want at least 100µs"},
		{tick, -1, "timerwheel: now is -1ns, want 0 or later"},
	} {
		func() {
			defer func() {
				if got := recover(); got != c.want {
					t.Errorf("New(%v, %v) panics with %v, want %q", c.tick, c.now, got, c.want)
				}
			}()
			New(newChunked(1), c.tick, c.now)
		}()
	}
}

// Ensure that a wheel which has held as many timers before allocates nothing.
func TestAllocations(t *testing.T) {
	const n = 10_000
	w := New(newChunked(n), tick, 0)
	var now time.Duration
	rearm := func(i int32) { w.Schedule(i, now+time.Duration(i)*tick/4) }
	for i := range int32(n) {
		rearm(i)
	}
	step := func() {
		now += tick
		i := int32(now/tick) % n
		w.Cancel(i)
		w.Schedule(i, now+time.Hour)
		w.Advance(now, math.MaxInt, rearm)
		w.Next()
	}
	for range 3 * n { // until the pool has grown to what such a load needs
		step()
	}
	if allocs := testing.AllocsPerRun(1000, step); allocs != 0 {
		t.Errorf("%v allocations a step, want 0", allocs)
	}
}
