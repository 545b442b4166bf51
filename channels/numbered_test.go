package channels

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// engine is a backplane that says nothing by itself.
type engine struct{ followed []string }

func (e *engine) Publish(string, Event) (Receipt, error) { panic("not asked for") }
func (e *engine) Follow(name string) (uint64, bool) {
	e.followed = append(e.followed, name)
	return 0, false
}
func (e *engine) Unfollow(string) {}
func (e *engine) Health() error   { return nil }

func kept(numbers ...uint64) (list []Kept) {
	for _, n := range numbers {
		list = append(list, Kept{Seq: n, Event: Event{Data: fmt.Append(nil, n)}})
	}
	return list
}

// Ensure that a subscriber waits until its channel is filled, and then resumes by
// the engine's numbers, whichever node they come from.
func TestNumbered(t *testing.T) {
	for _, tt := range []struct {
		id      string
		missed  []uint64
		opening string
		live    []uint64 // of 26 and 28, what is not passed over
	}{
		{"", nil, "id: E-24\n\n", []uint64{26, 28}},
		{"E-16", []uint64{20, 22}, "id: E-16\n\n", []uint64{26, 28}},
		{"E-22", nil, "id: E-22\n\n", []uint64{26, 28}},
		{"E-26", nil, "id: E-26\n\n", []uint64{28}},
		{"E-8", []uint64{16, 20, 22}, gapEvent("evicted", "E-16", "E-24", "E-15"), []uint64{26, 28}},
		{"F-22", []uint64{16, 20, 22}, gapEvent("restart", "E-16", "E-24", "E-15"), []uint64{26, 28}},
	} {
		t.Run(tt.id, func(t *testing.T) {
			link := new(engine)
			b, in := NewBroker(Options{History: 9, Numbered: true, Backplane: link}), NewInbox(func() {})
			var s Start
			if b.Resume(&s, in, []byte(tt.id), 1<<20, []byte("/a")) {
				t.Fatal("a subscriber has begun before its channel is ready")
			}
			b.SetEpoch("E")
			b.Advance(24)
			b.Fill("/a", 12, kept(16, 20, 22))
			b.Followed(0, "/a")
			if ready := in.TakeReady(nil); len(ready) != 1 || ready[0].Name() != "/a" {
				t.Fatalf("%d channels are ready, want /a", len(ready))
			}
			if !b.Begin(&s, []byte(tt.id), 1<<20) {
				t.Fatal("a subscriber cannot begin though its channel is ready")
			}
			if got := seqs(s.Missed); !slices.Equal(got, tt.missed) {
				t.Errorf("missed %v, want %v", got, tt.missed)
			}
			if got := string(b.AppendStart(nil, &s)); got != tt.opening {
				t.Errorf("opening %q, want %q", got, tt.opening)
			}
			cursor := max(s.Cursor, s.Head)
			for _, k := range kept(22, 26, 28, 28) { // some for the second time
				b.DeliverAt("/a", k.Event, k.Seq)
			}
			var live []uint64
			for _, m := range in.Take(nil) {
				if m.Seq > cursor {
					live = append(live, m.Seq)
				}
			}
			if !slices.Equal(live, tt.live) {
				t.Errorf("%v come live, want %v", live, tt.live)
			}
		})
	}
}

// Ensure that gaps have places between the engine's numbers, and that the end of its
// history is one.
func TestNumberedGaps(t *testing.T) {
	b, in := NewBroker(Options{History: 9, HistoryTTL: time.Minute, Numbered: true, Backplane: new(engine)}), NewInbox(func() {})
	b.SetEpoch("E")
	b.Attach(in, nil, []byte("/a"))
	b.Fill("/a", 0, kept(2))
	b.Advance(2)
	b.Followed(0, "/a")
	b.Interrupted("/a")
	b.Interrupted("/a")
	b.DeliverAt("/a", Event{}, 4)
	b.SetEpoch("F")
	b.SetEpoch("F")
	b.DeliverAt("/a", Event{}, 6)
	messages := in.Take(nil)
	if got := seqs(messages); !slices.Equal(got, []uint64{3, 4, 5, 6}) {
		t.Fatalf("posted %v, want 3, 4, 5, 6", got)
	}
	for i, want := range []string{
		"event: millrace.gap\ndata: {\"reason\":\"backplane\",\"oldest\":\"E-2\",\"head\":\"E-3\"}\nid: E-3\n\n",
		"data: \nid: E-4\n\n",
		"event: millrace.gap\ndata: {\"reason\":\"restart\",\"oldest\":\"\",\"head\":\"F-5\"}\nid: F-5\n\n",
		"data: \nid: F-6\n\n",
	} {
		if got := string(messages[i].Wire); got != want {
			t.Errorf("message %d: %q, want %q", messages[i].Seq, got, want)
		}
	}
	b.verify(t)
}
