package channels

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkHold is the longest that each of these holds up a broker of a million
// channels at a time: a page of a listing, a slice of what is too old. None may
// take more than 1 ms.
func BenchmarkHold(b *testing.B) {
	const n = 1_000_000
	broker, in := NewBroker(Options{History: 1, HistoryTTL: time.Hour, MaxKept: 1 << 30}), NewInbox(func() {})
	now := time.Duration(0)
	broker.clock = func() time.Duration { return now }
	var chans []*Channel
	for i := range n {
		chans, _ = broker.Attach(in, chans, fmt.Appendf(nil, "/rooms/%07d", i*7919%n))
		if i%2 == 0 {
			broker.Publish(chans[i].name, benchEvent)
		}
		if i%1000 == 0 {
			broker.Served(in, in.Take(nil))
		}
	}
	b.Run("list", func(b *testing.B) {
		var names []string
		after := ""
		for b.Loop() {
			names, after, _ = broker.names(names[:0], after)
		}
	})
	now = 2 * time.Hour // all messages are too old at once
	b.Run("age", func(b *testing.B) {
		for b.Loop() {
			broker.tidy()
		}
	})
}
