package channels

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// crowd returns a broker with n channels of one subscriber each on the loop of in, and
// their names. Each keeps a message.
func crowd(t testing.TB, n int) (*Broker, *Inbox, []string) {
	b := NewBroker(Options{History: 1, MaxKept: 1 << 30})
	in := b.NewInbox(func() {})
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("/channel/%07d", i)
		in.Attach(nil, []byte(names[i]))
		if _, err := b.Publish(names[i], Event{Data: []byte("kept")}); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			in.Served(in.Take(nil))
		}
	}
	in.Served(in.Take(nil))
	return b, in, names
}

// Ensure that gaps of many channels at once, and the same again before a loop has told
// any, evict nothing, wake the loop once, stand in its way in slices, and leave no memory.
func TestManyGaps(t *testing.T) {
	const n, slice = 20_000, 512
	b, in, names := crowd(t, n)
	wakes := 0
	in.wake = func() { wakes++ }
	before := b.Ports().Figures()
	for range 3 {
		b.Feed().Interrupted(names...)
	}
	before.Gaps[GapBackplane] = n
	if after := b.Ports().Figures(); after != before {
		t.Errorf("gaps have made %+v of %+v", after, before)
	}
	if wakes != 1 || in.gaps.n != n || len(in.gaps.blocks) > n>>gapBlockShift+1 {
		t.Errorf("%d gaps in %d blocks after %d wakes, want %d, %d, 1", in.gaps.n, len(in.gaps.blocks), wakes, n, n>>gapBlockShift+1)
	}
	if size := unsafe.Sizeof(gapEntry{}); size != 16 {
		t.Errorf("an entry has %d bytes, want 16", size)
	}
	told := make(map[*Channel]bool)
	for more := true; more; {
		var gaps []*Message
		if gaps, more = in.Gaps(nil, 0, slice); len(gaps) > slice {
			t.Fatalf("%d gaps at once, want at most %d", len(gaps), slice)
		}
		for _, m := range gaps {
			told[m.Channel] = true
		}
	}
	if len(told) != n || in.Gapped() || in.gaps.blocks != nil {
		t.Errorf("%d channels are told, gaps are left: %v, in %d blocks, want %d and none", len(told), in.Gapped(), len(in.gaps.blocks), n)
	}
	b.verify(t)
}

// The cost of gaps on all of a loop's channels at once, as after a lost connection: how
// long the lock is held for a slice of them, what they take until they are told, and
// what telling takes. MILLRACE_TEST_FULL=1 has a million.
func BenchmarkGaps(b *testing.B) {
	n := 50_000
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		n = 1_000_000
	}
	broker, in, names := crowd(b, n)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var posting, telling, longest time.Duration
	for b.Loop() {
		before := heap()
		for at := 0; at < n; at += lossSlice {
			began := time.Now()
			broker.Feed().Interrupted(names[at:min(at+lossSlice, n)]...)
			hold := time.Since(began)
			posting, longest = posting+hold, max(longest, hold)
		}
		b.ReportMetric(float64(heap()-before)/float64(n), "B/gap")
		began := time.Now()
		var gaps []*Message
		for more := true; more; {
			clear(gaps)
			gaps, more = in.Gaps(gaps[:0], 0, lossSlice)
		}
		telling += time.Since(began)
	}
	if in.first() != math.MaxUint64 {
		b.Error("gaps are in the inbox as messages")
	}
	slices := float64(b.N) * float64(n) / lossSlice
	b.ReportMetric(float64(posting.Microseconds())/slices, "µs/hold-posting")
	b.ReportMetric(float64(telling.Microseconds())/slices, "µs/hold-telling")
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
	b.ReportMetric(0, "ns/op")
}
