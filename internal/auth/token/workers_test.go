package token

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
)

// Ensure that addresses share the line: one that floods waits, and keeps out nobody else.
func TestWorkersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorkers(1, 8)
		flooder, one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2:1")
		hold := make(chan struct{})
		w.do(flooder, func() { <-hold })
		synctest.Wait()
		var order []string
		note := func(s string) func() { return func() { order = append(order, s) } }
		taken := 0
		for range 100 {
			if w.do(flooder, note("flood")) {
				taken++
			}
		}
		if taken != 8 {
			t.Errorf("of one address %d wait, want 8", taken)
		}
		if !w.do(one, note("one")) || !w.do(two, note("two")) { // one network
			t.Error("another address finds no room")
		}
		if w.line() != 10 {
			t.Errorf("%d wait, want 10", w.line())
		}
		close(hold)
		w.close()
		if want := []string{"flood", "one", "flood", "two", "flood", "flood"}; !slices.Equal(order[:6], want) || len(order) != 10 {
			t.Errorf("the order is %q, want %q and so on", order, want)
		}
		if w.do(one, note("late")) {
			t.Error("a job is taken by workers that are closed")
		}
	})
}
