package channels

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// slowEngine is a backplane that takes its time, and then what it takes.
type slowEngine struct {
	takes time.Duration
	err   error
}

func (e *slowEngine) Send(string, Event) (Receipt, error) {
	<-time.After(e.takes)
	return Receipt{}, e.err
}
func (e *slowEngine) Follow(string) (uint64, bool) { return 0, true }
func (e *slowEngine) Unfollow(string)              {}
func (e *slowEngine) Health() error                { return nil }

// Ensure that an event is counted where it was published, and nowhere else, and what
// publishing took in the bucket that it belongs to.
func TestPublishingIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(slowEngine)
		b := NewBroker(Options{Backplane: e})
		for i, tt := range []struct {
			takes  time.Duration
			bucket int
		}{
			{0, 0}, {127 * time.Microsecond, 0}, {128 * time.Microsecond, 1}, {time.Second, 13}, {8 * time.Second, 16}, {time.Hour, 17},
		} {
			before := b.Ports().Publishing()
			e.takes = tt.takes
			b.Publish("/a", Event{})
			got := b.Ports().Publishing()
			if got.Published != uint64(i+1) || got.Failed != 0 || got.Times.Counts[tt.bucket] != before.Times.Counts[tt.bucket]+1 || got.Times.Sum != before.Times.Sum+tt.takes {
				t.Errorf("after %v: %+v, want one more in bucket %d", tt.takes, got, tt.bucket)
			}
			if low := tt.bucket > 0 && tt.takes < TimesBound(tt.bucket-1); low || tt.bucket < TimesBuckets-1 && tt.takes >= TimesBound(tt.bucket) {
				t.Errorf("%v is not within the bounds of bucket %d", tt.takes, tt.bucket)
			}
		}
		e.takes, e.err = 0, errors.New("away")
		b.Publish("/a", Event{})
		b.PublishAll([]Publication{{Channel: "/a"}, {Channel: ""}})
		b.Feed().Deliver("/a", Event{}) // what another node has published
		if got, placed := b.Ports().Publishing(), b.Ports().Figures().Messages; got.Published != 6 || got.Failed != 2 || placed != 1 {
			t.Errorf("%d published, %d failed, %d messages; want 6, 2, 1", got.Published, got.Failed, placed)
		}
	})
	b := NewBroker(Options{})
	b.Publish("/a", Event{})
	b.PublishAll([]Publication{{Channel: "/a"}, {Channel: "/b"}})
	if got, f := b.Ports().Publishing(), b.Ports().Figures(); got.Published != 3 || f.Messages != 3 || got.Times != (Times{}) {
		t.Errorf("a node on its own: %+v and %d messages, want 3 of both and no times", got, f.Messages)
	}
}

// Ensure that gaps are counted by their reasons: those of streams that come back, and
// those of channels with streams.
func TestGapsAreCounted(t *testing.T) {
	b := NewBroker(Options{History: 1, Epoch: "E"})
	in := b.NewInbox(func() {})
	for range 3 {
		b.Publish("/a", Event{})
	}
	var s Start
	for _, id := range []string{"E-1", "E-1", "E-3", "F-1", "nonsense", ""} {
		in.Join(&s, []byte(id), 1<<20, []byte("/a"))
	}
	b.Feed().Interrupted("/a", "/nobody")
	if got, want := b.Ports().Figures().Gaps, ([Gaps]uint64{GapRestart: 1, GapEvicted: 2, GapUnknown: 1, GapBackplane: 1}); got != want {
		t.Errorf("gaps %v, want %v", got, want)
	}
}
