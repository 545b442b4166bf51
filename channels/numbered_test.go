package channels

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// engine is a backplane that says nothing by itself.
type engine struct{ followed []string }

func (e *engine) Send(string, Event) (Receipt, error) { panic("not asked for") }
func (e *engine) Follow(name string) (uint64, bool) {
	e.followed = append(e.followed, name)
	return 0, false
}
func (e *engine) Unfollow(string) {}
func (e *engine) Health() error   { return nil }

func kept(numbers ...uint64) (list []Kept) {
	for _, n := range numbers {
		list = append(list, Kept{Number: n, Event: Event{Data: fmt.Append(nil, n)}})
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
		{"", nil, startEvent(false, "E-24"), []uint64{26, 28}},
		{"E-16", []uint64{20, 22}, startEvent(true, "E-16"), []uint64{26, 28}},
		{"E-22", nil, startEvent(true, "E-22"), []uint64{26, 28}},
		{"E-26", nil, startEvent(true, "E-26"), []uint64{28}},
		{"E-8", []uint64{16, 20, 22}, gapEvent("evicted", "E-16", "E-24", "E-14"), []uint64{26, 28}},
		{"F-22", []uint64{16, 20, 22}, gapEvent("restart", "E-16", "E-24", "E-14"), []uint64{26, 28}},
	} {
		t.Run(tt.id, func(t *testing.T) {
			link := new(engine)
			b := NewBroker(Options{History: 9, Numbered: true, Backplane: link})
			in := b.NewInbox(func() {})
			var s Start
			if in.Join(&s, []byte(tt.id), 1<<20, []byte("/a")) {
				t.Fatal("a subscriber has begun before its channel is ready")
			}
			b.Feed().SetEpoch("E", 24)
			b.Feed().Advance(24)
			b.Feed().Fill("/a", 12, kept(16, 20, 22))
			b.Feed().Followed(0, nil, "/a")
			if ready := in.TakeFollowed(nil); len(ready) != 1 || ready[0].Name() != "/a" {
				t.Fatalf("%d channels are ready, want /a", len(ready))
			}
			if !in.Begin(&s, []byte(tt.id), 1<<20) {
				t.Fatal("a subscriber cannot begin though its channel is ready")
			}
			if got := numbers(s.Missed); !slices.Equal(got, tt.missed) {
				t.Errorf("missed %v, want %v", got, tt.missed)
			}
			if got := string(in.AppendStart(nil, &s)); got != tt.opening {
				t.Errorf("opening %q, want %q", got, tt.opening)
			}
			cursor := max(s.Cursor, s.Head)
			for _, k := range kept(22, 26, 28, 28) { // some for the second time
				b.Feed().DeliverAt("/a", k.Event, k.Number)
			}
			var live []uint64
			for _, m := range in.Take(nil) {
				if m.Seq > cursor {
					live = append(live, b.number(m.Seq))
				}
			}
			if !slices.Equal(live, tt.live) {
				t.Errorf("%v come live, want %v", live, tt.live)
			}
		})
	}
}

// numbers returns those that an engine gave to messages.
func numbers(messages []*Message) (list []uint64) {
	for _, m := range messages {
		list = append(list, m.Seq>>countBits<<1)
	}
	return list
}

// numbered returns a broker of epoch E, on which /a and /b are followed up to 2, and that
// keeps a message of that number on /a.
func numbered() *Broker {
	b := NewBroker(Options{History: 9, HistoryTTL: time.Minute, Numbered: true, Backplane: new(engine)})
	b.Feed().SetEpoch("E", 2)
	start := b.NewInbox(func() {})
	chans, _ := start.Attach(nil, []byte("/a"), []byte("/b"))
	b.Feed().Advance(2)
	b.Feed().Fill("/a", 0, kept(2))
	b.Feed().Fill("/b", 0, nil)
	b.Feed().Followed(0, nil, "/a", "/b")
	start.Detach(chans[1:]...) // /a is followed for good
	return b
}

// tells takes what the owner of in gets in its next turn, with gaps as text.
func tells(b *Broker, in *Inbox) (list []string) {
	messages := in.Take(nil)
	gaps, _ := in.Gaps(nil, 0, math.MaxInt)
	all := slices.Concat(messages, gaps)
	slices.SortFunc(all, func(x, y *Message) int {
		return cmp.Or(cmp.Compare(x.Seq, y.Seq), cmp.Compare(x.Channel.name, y.Channel.name))
	})
	for _, m := range all {
		list = append(list, m.Channel.name+" "+gapOrData(m))
	}
	in.Served(messages)
	return list
}

// gapOrData returns the reason of a gap, or an event's data, with the id.
func gapOrData(m *Message) string {
	events, _ := decode(m.Wire)
	_, id, _ := strings.Cut(string(m.Wire), "id: ")
	text := events[0].Data
	if reason, ok := strings.CutPrefix(text, `{"reason":"`); ok {
		text, _, _ = strings.Cut(reason, `"`)
	}
	return text + " " + strings.TrimSpace(id)
}

// Ensure that gaps of an engine with numbers are told on every channel and as often as
// something was lost, live and to clients that resume, with an id that other nodes know.
func TestNumberedGaps(t *testing.T) {
	b := NewBroker(Options{History: 9, HistoryTTL: time.Minute, Numbered: true, Backplane: new(engine)})
	in, stuck := b.NewInbox(func() {}), b.NewInbox(func() {})
	b.Feed().SetEpoch("E", 2)
	in.Attach(nil, []byte("/a"), []byte("/b"))
	stuck.Attach(nil, []byte("/a"))
	b.Feed().Advance(2)
	b.Feed().Fill("/a", 0, kept(2))
	b.Feed().Followed(0, nil, "/a", "/b")
	resumes := func(id string, names ...string) string {
		var s Start
		var raw [][]byte
		for _, name := range names {
			raw = append(raw, []byte(name))
		}
		other := b.NewInbox(func() {})
		other.Join(&s, []byte(id), 1<<20, raw...)
		other.Detach(s.Channels...)
		return s.Gap.String()
	}
	want := func(when string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", when, got, want)
		}
		b.verify(t)
	}
	b.Feed().Interrupted("/a")
	want("a first loss", tells(b, in), "/a backplane E-2")
	b.Feed().Interrupted("/a")
	b.Feed().Interrupted("/a")
	want("two more at the same number", tells(b, in), "/a backplane E-2")
	b.Feed().Interrupted("/b")
	want("one on another channel there", tells(b, in), "/b backplane E-2")
	if got := resumes("E-2", "/b"); got != "backplane" {
		t.Errorf("who resumes on /b at the id of the gap is told %q, want backplane", got)
	}
	want("a loop that was stuck", tells(b, stuck), "/a backplane E-2")
	b.Feed().DeliverAt("/a", Event{Data: []byte("4")}, 4)
	b.Feed().Interrupted("/a")
	b.Feed().SetEpoch("F", 6)
	b.Feed().SetEpoch("F", 6)
	b.Feed().DeliverAt("/b", Event{Data: []byte("6")}, 6)
	want("the end of the history, straight after a loss", tells(b, in), "/a 4 E-4", "/a restart F-4", "/b restart F-4", "/b 6 F-6")
	if got := resumes("F-4", "/a"); got != "restart" {
		t.Errorf("who resumes at the restart is told %q, want restart", got)
	}
	if got := resumes("F-6", "/a", "/b"); got != "" {
		t.Errorf("who resumes behind it is told %q, want nothing", got)
	}
}

// Ensure that ids of nodes of releases before, which gave gaps the odd numbers, mean what
// they meant, and that those of this one are the engine's numbers, as theirs are.
func TestNumberedIDsOfOtherReleases(t *testing.T) {
	for _, tt := range []struct {
		id, names string
		gap       Gap
		missed    []uint64
	}{
		{"E-2", "/a", GapBackplane, []uint64{4, 8}},
		{"E-3", "/a", GapBackplane, []uint64{4, 8}},
		{"E-5", "/a", GapBackplane, []uint64{8}},
		{"E-6", "/a", GapBackplane, []uint64{8}},
		{"E-7", "/a", GapBackplane, []uint64{8}}, // the other node had the same loss, which it tells by another place
		{"E-6", "/b", NoGap, nil},
		{"E-8", "/a /b", NoGap, nil},
		{"E-9007199254740991", "/a", NoGap, nil}, // far ahead
		{"E-9007199254740992", "/a", GapUnknown, []uint64{2, 4, 8}},
		{"E-18446744073709551615", "/a", GapUnknown, []uint64{2, 4, 8}},
	} {
		b := numbered()
		b.Feed().DeliverAt("/a", Event{}, 4)
		b.Feed().Advance(6)
		b.Feed().Interrupted("/a")
		b.Feed().DeliverAt("/a", Event{}, 8)
		var s Start
		var names [][]byte
		for name := range strings.FieldsSeq(tt.names) {
			names = append(names, []byte(name))
		}
		if in := b.NewInbox(func() {}); !in.Join(&s, []byte(tt.id), 1<<20, names...) {
			b.Feed().Followed(0, nil, "/b")
			in.Begin(&s, []byte(tt.id), 1<<20)
		}
		if got := numbers(s.Missed); !slices.Equal(got, tt.missed) || s.Gap != tt.gap {
			t.Errorf("%s on %s: missed %v, gap %q, want %v, %q", tt.id, tt.names, got, s.Gap, tt.missed, tt.gap)
		}
		b.verify(t)
	}
}

// Ensure that a subscriber which came from a node that was further is told when the
// history ends, and that one with an id of the far future spoils nothing.
func TestNumberedRestartAhead(t *testing.T) {
	for _, tt := range []struct {
		id        string
		told      bool
		delivered []string // to the others
	}{
		{"E-20", true, []string{"/a restart F-20", "/a 32 F-32", "/a 42 F-42"}},
		{"E-40", true, []string{"/a restart F-40", "/a 42 F-42"}},
		{"E-9007199254740991", false, []string{"/a restart F-40", "/a 42 F-42"}},
	} {
		b := numbered()
		in := b.NewInbox(func() {})
		var s Start
		in.Join(&s, []byte(tt.id), 1<<20, []byte("/a"))
		cursor := s.Cursor
		b.Feed().SetEpoch("F", 40)
		b.Feed().DeliverAt("/a", Event{Data: []byte("32")}, 32)
		b.Feed().DeliverAt("/a", Event{Data: []byte("42")}, 42)
		gap := b.channels["/a"].gap
		if got := tells(b, in); !slices.Equal(got, tt.delivered) || gap > cursor != tt.told {
			t.Errorf("from %s: posted %q, the gap stands behind the client: %v, want %q, %v", tt.id, got, gap > cursor, tt.delivered, tt.told)
		}
		b.verify(t)
	}
}

// Ensure that more gaps than a sequence counts lose nothing in silence: what has the
// number that they have taken is told as a gap.
func TestNumberedGapsWithoutEnd(t *testing.T) {
	b := numbered()
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	cursor := uint64(0)
	for i := range 2<<countBits + 3 {
		b.Feed().Interrupted("/a")
		gaps, _ := in.Gaps(nil, 0, 9)
		if len(gaps) != 1 || gaps[0].Seq <= cursor {
			t.Fatalf("loss %d: %d gaps, want one above the cursor", i, len(gaps))
		}
		cursor = gaps[0].Seq
	}
	for number := uint64(4); number <= 10; number += 2 {
		b.Feed().DeliverAt("/a", Event{Data: fmt.Append(nil, number)}, number)
		want := []string{fmt.Sprintf("/a %d E-%d", number, number)}
		if number <= 6 {
			want = []string{"/a backplane E-6"}
		}
		if got := tells(b, in); !slices.Equal(got, want) {
			t.Errorf("message %d: got %q, want %q", number, got, want)
		}
	}
	for _, number := range []uint64{0, 1, MaxNumber + 1, math.MaxUint64} {
		if _, err := b.Feed().DeliverAt("/a", Event{}, number); !errors.Is(err, ErrNumber) {
			t.Errorf("number %d: %v, want %v", number, err, ErrNumber)
		}
	}
}

// Ensure that a loss is told that comes before anything was published.
func TestGapFirstOfAll(t *testing.T) {
	for _, numbered := range []bool{false, true} {
		b := NewBroker(Options{History: 9, Numbered: numbered, Backplane: new(engine)})
		in := b.NewInbox(func() {})
		_, cursor := in.Attach(nil, []byte("/a"))
		b.Feed().Followed(0, nil, "/a")
		b.Feed().Interrupted("/a")
		if told, _ := in.Gaps(nil, 0, math.MaxInt); len(told) != 1 || told[0].Seq <= cursor {
			t.Errorf("numbered %v: %d gaps are told behind the cursor %d, want one: %+v", numbered, len(told), cursor, told)
		}
		b.verify(t)
	}
}

// Ensure that a message that an engine has kept for a while is not replayed after its time,
// though it has come here after younger ones.
func TestFillOldMessages(t *testing.T) {
	var now time.Duration
	b := numbered()
	b.clock = func() time.Duration { return now }
	in := b.NewInbox(func() {})
	b.Feed().DeliverAt("/a", Event{}, 4) // younger than what comes
	in.Attach(nil, []byte("/c"))
	b.Feed().Advance(10)
	old := kept(6, 8)
	old[0].Age, old[1].Age = 50*time.Second, 10*time.Second
	b.Feed().Fill("/c", 0, old)
	b.Feed().Followed(0, nil, "/c")
	for _, tt := range []struct {
		at     time.Duration
		missed []uint64
	}{{5 * time.Second, []uint64{6, 8}}, {10 * time.Second, []uint64{8}}, {49 * time.Second, []uint64{8}}, {50 * time.Second, nil}} {
		now = tt.at
		var s Start
		in.Join(&s, []byte("E-2"), 1<<20, []byte("/c"))
		if got := numbers(s.Missed); !slices.Equal(got, tt.missed) {
			t.Errorf("after %v: %v are replayed, want %v", tt.at, got, tt.missed)
		}
		in.Detach(s.Channels...)
		b.verify(t)
	}
}

// Ensure that a subscriber that attaches while a channel is confirmed gets no gap, since
// nothing was missed, and that a second confirmation is a gap.
func TestFollowedAsItIsConfirmed(t *testing.T) {
	b := NewBroker(Options{History: 1, Epoch: "E", Backplane: new(engine)})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	asked := map[string]bool{"/a": true}
	for range 2 {
		b.Feed().Followed(0, func(name string) bool {
			if b.mu.TryLock() {
				t.Error("whoever attaches can come between")
			}
			was := asked[name]
			asked[name] = false
			return was
		}, "/a", "/other")
		if gaps, _ := in.Gaps(nil, 0, 9); len(gaps) > 0 {
			t.Errorf("%d gaps where nothing was missed, want none", len(gaps))
		}
	}
	b.Feed().Followed(0, nil, "/a")
	if gaps, _ := in.Gaps(nil, 0, 9); len(gaps) != 1 {
		t.Errorf("%d gaps of a channel that is confirmed for the second time, want 1", len(gaps))
	}
}

// Ensure that the head of a channel has the engine's epoch in its id.
func TestNumberedInfo(t *testing.T) {
	b := numbered()
	b.Feed().Interrupted("/a")
	i, _ := b.Ports().Lookup("/a")
	if id := b.ID(Receipt{Seq: i.Head, Epoch: i.Epoch}); id != "E-2" {
		t.Errorf("the newest message of /a is %q, want E-2", id)
	}
	if page := b.Ports().Page(nil, "/a", "", 1); len(page) != 1 || page[0] != i {
		t.Errorf("a page has %+v, want %+v", page, i)
	}
}
