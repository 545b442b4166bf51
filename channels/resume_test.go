package channels

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Ensure that a last event id leads to what came after it, and that a client is
// told whenever that cannot be all.
func TestResume(t *testing.T) {
	b := NewBroker(Options{History: 3, Epoch: "E"})
	in := b.NewInbox(func() {})
	for i, name := range []string{"/a", "/b", "/a", "/b", "/a", "/a", "/a", "/c"} { // kept: a 5 6 7, b 2 4, c 8
		mustPublish(t, b, name, fmt.Sprint(i+1), 0)
	}
	for _, tt := range []struct {
		id, names string
		missed    []uint64
		cursor    uint64
		opening   string
	}{
		{"", "/a", nil, 8, startEvent(false, "E-8")},
		{"", "/new", nil, 8, startEvent(false, "E-8")},
		{"E-8", "/a", nil, 8, startEvent(true, "E-8")},
		{"E-6", "/a", []uint64{7}, 6, startEvent(true, "E-6")},
		{"E-3", "/a", []uint64{5, 6, 7}, 4, startEvent(true, "E-3")},
		{"E-3", "/a /b /c", []uint64{4, 5, 6, 7, 8}, 3, startEvent(true, "E-3")},
		{"E-3", "/nothing", nil, 8, startEvent(true, "E-3")},
		{"E-0", "/b", []uint64{2, 4}, 1, startEvent(true, "E-0")},
		{"E-0", "/a", []uint64{5, 6, 7}, 4, gapEvent("evicted", "E-5", "E-8", "E-4")},
		{"E-2", "/a /b", []uint64{4, 5, 6, 7}, 3, gapEvent("evicted", "E-2", "E-8", "E-3")},
		{"earliest", "/a /b", []uint64{2, 4, 5, 6, 7}, 1, startEvent(false, "E-1")},
		{"earliest", "/nothing", nil, 8, startEvent(false, "E-8")},
		{"F-6", "/a", []uint64{5, 6, 7}, 4, gapEvent("restart", "E-5", "E-8", "E-4")},
		{"F-6", "/nothing", nil, 8, gapEvent("restart", "", "E-8", "E-8")},
		{"E-9", "/a", []uint64{5, 6, 7}, 4, gapEvent("unknown", "E-5", "E-8", "E-4")},
		{"E-6x", "/a", []uint64{5, 6, 7}, 4, gapEvent("unknown", "E-5", "E-8", "E-4")},
		{"nonsense", "/a", []uint64{5, 6, 7}, 4, gapEvent("unknown", "E-5", "E-8", "E-4")},
	} {
		t.Run(fmt.Sprintf("%q on %s", tt.id, tt.names), func(t *testing.T) {
			var s Start
			var names [][]byte
			for name := range strings.FieldsSeq(tt.names) {
				names = append(names, []byte(name))
			}
			in.Join(&s, []byte(tt.id), 1<<20, names...)
			if got := seqs(s.Missed); !slices.Equal(got, tt.missed) || s.Cursor != tt.cursor || s.Head != 8 {
				t.Errorf("missed %v, cursor %d, head %d, want %v, %d, 8", got, s.Cursor, s.Head, tt.missed, tt.cursor)
			}
			if got := string(in.AppendStart(nil, &s)); got != tt.opening {
				t.Errorf("opening %q, want %q", got, tt.opening)
			}
			in.Detach(s.Channels...)
			b.verify(t)
		})
	}
}

func startEvent(resumed bool, id string) string {
	return fmt.Sprintf("event: millrace.start\ndata: {\"resumed\":%v,\"after\":%q}\nid: %s\n\n", resumed, id, id)
}

func gapEvent(reason, oldest, head, id string) string {
	return fmt.Sprintf("event: millrace.gap\ndata: {\"reason\":%q,\"oldest\":%q,\"head\":%q}\nid: %s\n\n", reason, oldest, head, id)
}

// Ensure that a subscriber is not lapped by what it has been told is gone, and is by
// what goes afterwards, of whichever of its channels.
func TestFloors(t *testing.T) {
	for _, evicting := range []string{"/a", "/b"} {
		b := NewBroker(Options{History: 1, MaxEventBytes: backlogBytes / 4, Epoch: "E"})
		in := b.NewInbox(func() {})
		large := strings.Repeat("x", backlogBytes/4-lineOverhead) // five of them are more than a channel keeps
		in.Attach(nil, []byte("/a"), []byte("/b"))
		mustPublish(t, b, "/b", "1", 1)
		mustPublish(t, b, "/b", "2", 1)
		for range 6 { // 3 and more are evicted of /a
			mustPublish(t, b, "/a", large, 1)
			in.Served(in.Take(nil))
		}
		floor := b.channels["/a"].evicted
		var s Start
		in.Join(&s, []byte("F-1"), 1, []byte("/a"), []byte("/b"))
		if got := seqs(s.Missed); !slices.Equal(got, []uint64{1}) || s.Gap != GapRestart || !slices.Equal(s.Told.Floors, []uint64{floor, 0}) {
			t.Fatalf("missed %v, gap %v, floors %d, want [1], restart, [%d 0]", got, s.Gap, s.Told.Floors, floor)
		}
		if got, kept := in.CatchUp(nil, 1, s.Told, 1<<30, s.Channels...); !kept || got[0].Seq != 2 {
			t.Errorf("after 1: %v, %v, want 2 and those of /a, true", seqs(got), kept)
		}
		if _, kept := in.CatchUp(nil, 1, Told{}, 1<<30, s.Channels...); kept {
			t.Error("without the floors, the loss on /a is not noticed")
		}
		for range 6 {
			mustPublish(t, b, evicting, large, 2)
			in.Served(in.Take(nil))
		}
		if evicted := b.channels[evicting].evicted; evicted <= s.Cursor {
			t.Fatalf("%d of %s is evicted, want more", evicted, evicting)
		}
		if got, kept := in.CatchUp(nil, 1, s.Told, 1<<30, s.Channels...); kept {
			t.Errorf("a stream behind both is told that all is kept, %v, when %s was evicted afterwards", seqs(got), evicting)
		}
		b.verify(t)
	}
}

// Ensure that messages older than the time to live go, for every kind of reader, and that
// their loss is told.
func TestHistoryTTL(t *testing.T) {
	var now time.Duration
	b := NewBroker(Options{History: 9, HistoryTTL: time.Minute, Epoch: "E"})
	in := b.NewInbox(func() {})
	b.clock = func() time.Duration { return now }
	mustPublish(t, b, "/a", "1", 0)
	now = 30 * time.Second
	mustPublish(t, b, "/a", "2", 0)
	now = time.Minute - 1
	if b.sweep(); b.channels["/a"].log.count() != 2 {
		t.Errorf("%d messages kept after %v, want 2", b.channels["/a"].log.count(), now)
	}
	now = time.Minute
	var s Start
	in.Join(&s, []byte("E-0"), 1<<20, []byte("/a"))
	if got := seqs(s.Missed); !slices.Equal(got, []uint64{2}) || s.Gap != GapEvicted {
		t.Errorf("after %v: missed %v, gap %q, want [2], evicted", now, got, s.Gap)
	}
	in.Detach(s.Channels...)
	now = 2 * time.Minute
	if b.sweep(); len(b.channels) != 0 || b.kept.size != 0 {
		t.Errorf("%d channels, %d bytes are kept after %v, want none", len(b.channels), b.kept.size, now)
	}
	b.verify(t)
}

// Ensure that a message is kept which comes when all before it on its channel are
// too old, and nobody has looked yet.
func TestHistoryTTLOfQuietChannel(t *testing.T) {
	var now time.Duration
	b := NewBroker(Options{History: 9, HistoryTTL: time.Minute, Epoch: "E"})
	in := b.NewInbox(func() {})
	b.clock = func() time.Duration { return now }
	mustPublish(t, b, "/a", "1", 0)
	now = time.Hour
	mustPublish(t, b, "/a", "2", 0)
	b.verify(t)
	var s Start
	in.Join(&s, []byte("E-1"), 1<<20, []byte("/a"))
	if got := seqs(s.Missed); !slices.Equal(got, []uint64{2}) || s.Gap != NoGap {
		t.Errorf("missed %v, gap %q, want [2] and none", got, s.Gap)
	}
}

// Ensure that parseID reads every id that appendID writes, and reads nothing
// else.
func FuzzParseID(f *testing.F) {
	for _, id := range []string{"E-1", "E-0", "E-1-2", "E-01", "E--1", "-1", "E", "E-", "E-1-", "E-1-2-3",
		"E-18446744073709551615", "E-18446744073709551616", "E-99999999999999999999"} {
		f.Add([]byte(id))
	}
	f.Fuzz(func(t *testing.T, id []byte) {
		epoch, seq, ok := parseID(id)
		if ok && string(appendID(nil, string(epoch), seq)) != string(id) {
			t.Errorf("%q is read as epoch %q, sequence %d", id, epoch, seq)
		}
	})
}

// Ensure that a broker without history replays nothing, whatever its streams are behind,
// and tells so.
func TestResumeWithoutHistory(t *testing.T) {
	b := NewBroker(Options{Epoch: "E"})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	for range 9 {
		mustPublish(t, b, "/a", "x", 1)
	}
	for id, gap := range map[string]Gap{"": NoGap, "E-1": GapUnknown, "E-9": GapUnknown, "F-1": GapUnknown, "x": GapUnknown, Earliest: NoGap} {
		var s Start
		in.Join(&s, []byte(id), 1<<20, []byte("/a"))
		if len(s.Missed) > 0 || s.Cursor != 9 || s.Gap != gap {
			t.Errorf("id %q: %d messages from %d on, gap %q, want none from 9 on, %q", id, len(s.Missed), s.Cursor, s.Gap, gap)
		}
		in.Detach(s.Channels...)
	}
}

// Ensure that a stream that is behind finds some of the largest events, however large
// these may be, with and without history.
func TestBacklogOfLargeEvents(t *testing.T) {
	const size = 3 << 20
	for history := range 2 {
		b := NewBroker(Options{History: history, MaxEventBytes: size, Epoch: "E"})
		in := b.NewInbox(func() {})
		chans, cursor := in.Attach(nil, []byte("/a"))
		for i := range backlogEvents + 1 {
			mustPublish(t, b, "/a", strings.Repeat("x", size-lineOverhead), 1)
			in.Served(in.Take(nil))
			if got, kept := in.CatchUp(nil, cursor, Told{}, 1<<30, chans...); kept != (i < backlogEvents) || kept && len(got) != i+1 {
				t.Errorf("history %d, after %d of the largest events: %d are kept, and that is all: %v", history, i+1, len(got), kept)
			}
		}
		b.verify(t)
	}
}

// Ensure that a stream with a renewal gets a start in any case, and that others begin as
// without any.
func TestStartWithRenewal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		history int
		lastID  string
		opening string
	}{
		{"ids", 8, "", "event: millrace.start\ndata: {\"resumed\":false,\"after\":\"E-1\",\"renewal\":\"R\"}\nid: E-1\n\n"},
		{"a gap", 8, "F-1", gapEvent("restart", "E-1", "E-1", "E-0") +
			"event: millrace.start\ndata: {\"resumed\":false,\"after\":\"E-0\",\"renewal\":\"R\"}\nid: E-0\n\n"},
		{"no ids", 0, "", "event: millrace.start\ndata: {\"resumed\":false,\"renewal\":\"R\"}\n\n"},
		{"a gap without ids", 0, "F-1", "\nevent: millrace.gap\ndata: {\"reason\":\"unknown\",\"oldest\":\"\",\"head\":\"\"}\n\n" +
			"event: millrace.start\ndata: {\"resumed\":false,\"renewal\":\"R\"}\n\n"},
	} {
		b := NewBroker(Options{History: tt.history, Epoch: "E"})
		if _, err := b.Publish("/a", Event{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		in := b.NewInbox(func() {})
		var s Start
		in.Join(&s, []byte(tt.lastID), 1<<20, []byte("/a"))
		s.Renewal = "R"
		if got := string(in.AppendStart(nil, &s)); got != tt.opening {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.opening)
		}
		in.Join(&s, nil, 1<<20, []byte("/a"))
		if got := string(in.AppendStart(nil, &s)); strings.Contains(got, "renewal") {
			t.Errorf("%s: the next stream gets %q", tt.name, got)
		}
	}
}
