package channels

import (
	"fmt"
	"testing"
)

// Ensure that another epoch, and the history of a channel, hold up the broker for some
// channels and messages at a time, and miss none.
func TestEpochAndHistoryInSlices(t *testing.T) {
	const n, kept = 1000, 5000
	b := NewBroker(Options{History: kept, Numbered: true})
	in := b.NewInbox(func() {})
	b.Feed().SetEpoch("E", 0)
	for i := range n {
		in.Attach(nil, fmt.Appendf(nil, "/%d", i))
	}
	c := b.channels["/500"]
	gaps, messages, changed := 0, 0, 0
	b.mu.observe = func() {
		if more := in.gaps.n - gaps; more > lossSlice {
			t.Errorf("%d channels are told of a gap at a time, want at most %d", more, lossSlice)
		}
		if more := max(c.log.count()-messages, messages-c.log.count()); more > sliceOfWork {
			t.Errorf("%d messages come or go at a time, want at most %d", more, sliceOfWork)
		}
		gaps, messages, changed = in.gaps.n, c.log.count(), changed+1
	}
	history := make([]Kept, kept)
	for i := range history {
		history[i] = Kept{Number: uint64(2*i + 2), Event: Event{Data: []byte("x")}}
	}
	b.Feed().Advance(2*kept + 2)
	for range 2 { // the second takes the place of the first
		if !b.Feed().Fill("/500", 0, history) || c.log.count() != kept || c.evicted != 0 {
			t.Fatalf("%d messages, evicted %d, after Fill with %d", c.log.count(), c.evicted, kept)
		}
	}
	b.Feed().SetEpoch("F", 2*kept+4)
	if gaps != n || c.log.count() != 0 || c.evicted < b.sequence(2*kept) {
		t.Errorf("%d of %d channels are told of another epoch, %d messages are left, evicted %d", gaps, n, c.log.count(), c.evicted)
	}
	if changed < (2*kept+kept)/sliceOfWork+n/lossSlice {
		t.Errorf("%d holds are too few", changed)
	}
	b.mu.observe = nil
	b.verify(t)
}
