package channels

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Ensure that a channel that has vanished may come back without a gap although
// thousands of others have vanished since, and not without one when something of its
// own went with it.
func TestVanishedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{History: 8, HistoryTTL: time.Minute})
		publish := func(name string) {
			t.Helper()
			if _, err := b.Publish(name, Event{Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		complete := func(after uint64) bool {
			t.Helper()
			inbox := NewInbox(func() {})
			var s Start
			b.Resume(&s, inbox, fmt.Appendf(nil, "%s-%d", b.epoch, after), 1<<20, []byte("/mine"))
			b.Detach(inbox, s.Channels...)
			return s.Gap == ""
		}
		publish("/mine")
		mine := b.Head()
		time.Sleep(2 * time.Minute)
		const others = 1000
		for i := range others {
			publish(fmt.Sprintf("/other/%d", i))
		}
		time.Sleep(2 * time.Minute)
		b.Expire()
		if len(b.channels) != 0 {
			t.Fatalf("%d channels, want none", len(b.channels))
		}
		shared := 0 // places with one of the others
		for i := range others {
			if b.forgotten.place(fmt.Sprintf("/other/%d", i)) == b.forgotten.place("/mine") {
				shared++
			}
		}
		if got := complete(mine); got != (shared == 0) {
			t.Errorf("resuming after the channel's last message is complete: %v, with %d others in its place", got, shared)
		}
		if complete(mine - 1) {
			t.Error("resuming before a message that is gone is complete, want a gap")
		}
	})
}
