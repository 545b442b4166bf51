package channels

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// holds is for how long the broker's lock was held, by the processor's time of this
// thread: that others were given the processor meanwhile is not in it. What was done
// before, since begin or the last hold, counts too.
type holds struct {
	began time.Duration
	all   []time.Duration
}

// watch returns the holds of b by this goroutine, the only one.
func watch(t testing.TB, b *Broker) *holds {
	runtime.LockOSThread()
	h := &holds{}
	b.mu.observe = func() {
		now := threadTime()
		h.all = append(h.all, now-h.began)
		h.began = threadTime()
	}
	t.Cleanup(func() { b.mu.observe = nil; runtime.UnlockOSThread() })
	return h
}

func (h *holds) begin() { h.began = threadTime() }

// report reports the longest and the median.
func (h *holds) report(b *testing.B) {
	slices.Sort(h.all)
	b.ReportMetric(float64(h.all[len(h.all)/2].Nanoseconds())/1000, "µs/hold")
	b.ReportMetric(float64(h.all[len(h.all)-1].Nanoseconds())/1000, "µs-longest")
	b.ReportMetric(0, "ns/op")
}

func threadTime() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// BenchmarkHold is the longest that each of these holds up a broker of a million
// channels at a time, half of which keep a message. None may take more than 1 ms.
func BenchmarkHold(b *testing.B) {
	const n = 1_000_000
	broker := NewBroker(Options{History: 1, HistoryTTL: time.Hour, MaxKept: 1 << 30, Numbered: true})
	in := broker.NewInbox(func() {})
	now := time.Duration(0)
	broker.clock = func() time.Duration { return now }
	sweep := func() {
		broker.sweep()
		broker.alarm.set = alarmSoon // or it would sweep too, on another thread
	}
	sweep()
	broker.Feed().SetEpoch("E", 0)
	var chans []*Channel
	for i := range n {
		chans, _ = in.Attach(chans, fmt.Appendf(nil, "/rooms/%07d", i*7919%n))
		if i%2 == 0 {
			broker.Feed().DeliverAt(chans[i].name, benchEvent, uint64(2*i+2))
		}
		if i%1000 == 0 {
			in.Served(in.Take(nil))
		}
	}
	number := uint64(2*n + 2)
	var h *holds
	holdsOf := func(what string, f func()) {
		b.Run(what, func(b *testing.B) {
			h = watch(b, broker)
			for b.Loop() {
				h.begin()
				f()
			}
			h.report(b)
		})
	}
	var page []string
	holdsOf("list", func() {
		for after, more := "", true; more; h.begin() {
			page, after, more = broker.names(page[:0], after)
		}
	})
	holdsOf("fill", func() {
		number += 4
		kept := make([]Kept, 1000)
		for i := range kept {
			kept[i] = Kept{Number: uint64(i*2 + 2), Event: benchEvent}
		}
		broker.Feed().Fill(chans[0].name, 0, kept)
	})
	now = 2 * time.Hour // all messages are too old at once
	holdsOf("age", sweep)
	now = 0
	for i := range n / 2 {
		number += 2
		broker.Feed().DeliverAt(chans[2*i].name, benchEvent, number)
		if i%1000 == 0 {
			in.Served(in.Take(nil))
		}
	}
	epochs := 0
	holdsOf("epoch", func() {
		epochs++
		broker.Feed().SetEpoch(fmt.Sprint("E", epochs), 0)
	})
	var gaps []gapNotice
	holdsOf("gaps", func() {
		for more := true; more; {
			gaps, _, more = in.takeGaps(gaps[:0], math.MaxUint64, lossSlice)
		}
	})
	loops := make([]*Inbox, 55)
	for i := range loops {
		loops[i] = broker.NewInbox(func() {})
		loops[i].Attach(nil, []byte(chans[0].name))
	}
	holdsOf("wake", func() {
		number += 2
		broker.Feed().DeliverAt(chans[0].name, benchEvent, broker.number(broker.seq)+2)
		for _, in := range loops {
			in.Served(in.Take(nil))
		}
	})
	holdsOf("leave", func() { // all but a few, so that the map is made anew
		for i := range chans {
			if i < 1000 || chans[i] == nil {
				continue
			}
			in.Detach(chans[i])
			chans[i] = nil
		}
		sweep()
	})
}

// BenchmarkHear is a publish to many listeners, and how long it holds up the broker.
func BenchmarkHear(b *testing.B) {
	for _, n := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			broker := NewBroker(Options{})
			for range n {
				var outbox []byte
				v := &copier{&outbox}
				broker.Ports().Observe(v, "/a")
			}
			holds := watch(b, broker)
			ev := Event{Data: make([]byte, 32<<10)}
			for b.Loop() {
				holds.begin()
				broker.Publish("/a", ev)
			}
			holds.report(b)
		})
	}
}

// copier is a listener that copies what it hears, as one at the admin port.
type copier struct{ outbox *[]byte }

func (c *copier) Hear(_ Glob, _ string, data []byte) { *c.outbox = append((*c.outbox)[:0], data...) }
