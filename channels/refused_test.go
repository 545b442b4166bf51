package channels

import (
	"math"
	"testing"
)

// Ensure that a stream that begins on a channel which the engine refuses is told of a gap,
// at once and each time, and that one that is open when it no longer does is told too.
func TestRefused(t *testing.T) {
	b := NewBroker(Options{History: 9, Epoch: "E", Backplane: new(engine)})
	in := b.NewInbox(func() {})
	var s Start
	open := func(lastID string, names ...string) (gap Gap, begun bool) {
		t.Helper()
		var list [][]byte
		for _, name := range names {
			list = append(list, []byte(name))
		}
		begun = in.Join(&s, []byte(lastID), 1<<20, list...)
		return s.Gap, begun
	}
	gaps := func() int {
		messages, _ := in.Gaps(nil, 0, math.MaxInt)
		return len(messages)
	}
	s = Start{}
	if _, begun := open("", "/no"); begun {
		t.Fatal("a subscriber has begun before the engine has said anything")
	}
	b.Feed().Refused("/no", "/nobody's")
	if ready := in.TakeFollowed(nil); len(ready) != 1 || ready[0].Name() != "/no" {
		t.Fatalf("%d channels are ready, want /no", len(ready))
	}
	if !in.Begin(&s, nil, 1<<20) || s.Gap != GapBackplane {
		t.Errorf("on a refused channel: gap %q, want %q", s.Gap, GapBackplane)
	}
	for _, id := range []string{"", "E-0", Earliest} {
		if gap, begun := open(id, "/no"); !begun || gap != GapBackplane {
			t.Errorf("the next subscriber, with the id %q: begun %v, gap %q, want true, %q", id, begun, gap, GapBackplane)
		}
	}
	if gap, _ := open("F-1", "/no"); gap != GapRestart {
		t.Errorf("with an id of another epoch: gap %q, want %q", gap, GapRestart)
	}
	b.Feed().Refused("/no")
	if n := gaps(); n != 0 {
		t.Errorf("refused for the second time: %d gaps, want none", n)
	}
	b.Feed().Followed(b.Feed().Head(), nil, "/no")
	if n := gaps(); n != 1 {
		t.Errorf("no longer refused: %d gaps, want 1", n)
	}
	if gap, begun := open("", "/no"); !begun || gap != NoGap {
		t.Errorf("a subscriber of what is no longer refused: begun %v, gap %q, want true, none", begun, gap)
	}
	b.Feed().Refused("/no")
	if n := gaps(); n != 1 {
		t.Errorf("refused after it was followed: %d gaps, want 1", n)
	}
	for range 6 {
		in.Detach(s.Channels...)
	}
	if _, begun := open("", "/no"); begun {
		t.Error("a subscriber has begun on a channel that the engine has yet to be asked for again")
	}
}
