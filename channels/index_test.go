package channels

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// verify checks that x has exactly the channels of all, in order.
func (x *index) verify(t rapid.TB, all map[string]*Channel) {
	t.Helper()
	var names []string
	for i, block := range x.blocks {
		if len(block) == 0 || len(block) > blockSize {
			t.Fatalf("block %d of %d has %d channels, want 1 to %d", i, len(x.blocks), len(block), blockSize)
		}
		for _, c := range block {
			if all[c.name] != c {
				t.Fatalf("the index has a channel %q that the map does not have", c.name)
			}
			names = append(names, c.name)
		}
	}
	if want := slices.Sorted(maps.Keys(all)); !slices.Equal(names, want) {
		t.Fatalf("the index has %d channels, want these %d in order", len(names), len(want))
	}
}

// Ensure that an index agrees with a sorted list, whatever is added and removed.
func TestIndexAgainstSortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		all := make(map[string]*Channel)
		steps := rapid.IntRange(1, 4*blockSize).Draw(t, "steps")
		names := rapid.IntRange(1, 4*blockSize).Draw(t, "names")
		for range steps {
			name := fmt.Sprint(rapid.IntRange(1, names).Draw(t, "name"))
			if c := all[name]; c != nil {
				x.remove(c)
				delete(all, name)
			} else {
				all[name] = &Channel{name: name}
				x.add(all[name])
			}
		}
		x.verify(t, all)
	})
}

// Ensure that blocks neither overflow nor stay behind, in whatever order
// channels come and go.
func TestIndexBlocks(t *testing.T) {
	const n = 20 * blockSize
	for _, tt := range []struct {
		order string
		at    func(i int) int
	}{
		{"up", func(i int) int { return i }},
		{"down", func(i int) int { return n - 1 - i }},
		{"scattered", func(i int) int { return i * 7919 % n }}, // a prime that does not divide n
	} {
		var x index
		all := make(map[string]*Channel)
		for i := range n {
			c := &Channel{name: fmt.Sprintf("%06d", tt.at(i))}
			all[c.name] = c
			x.add(c)
		}
		x.verify(t, all)
		if most := 2*n/blockSize + 1; len(x.blocks) > most {
			t.Errorf("%s: %d channels in %d blocks, want at most %d", tt.order, n, len(x.blocks), most)
		}
		for i := range n - 10 {
			name := fmt.Sprintf("%06d", tt.at(i))
			x.remove(all[name])
			delete(all, name)
		}
		x.verify(t, all)
		if len(x.blocks) > 5 {
			t.Errorf("%s: 10 channels are left in %d blocks", tt.order, len(x.blocks))
		}
	}
}

// Ensure that pages, one after the other, have every channel of a prefix once,
// in order, and that what changes between them changes nothing else.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBroker(Options{})
		in := b.NewInbox(func() {})
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,4}`), 0, 60, rapid.ID).Draw(t, "names")
		for _, name := range names {
			in.Attach(nil, []byte(name))
		}
		prefix := rapid.StringMatching(`[a-c]{0,2}`).Draw(t, "prefix")
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		slices.Sort(names)
		var want, got []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		for after := ""; ; {
			page := b.Ports().Page(nil, prefix, after, limit)
			if len(page) == 0 {
				break
			}
			if len(page) > limit {
				t.Fatalf("a page of %d, want at most %d", len(page), limit)
			}
			for _, i := range page {
				got = append(got, i.Name)
			}
			after = page[len(page)-1].Name
			in.Attach(nil, []byte(prefix+" new, below the cursor"))
			want, got = without(want), without(got)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages of %q have %q, want %q", prefix, got, want)
		}
	})
}

// without returns names without those that came later.
func without(names []string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return strings.Contains(n, " ") })
}

func TestInfo(t *testing.T) {
	b := NewBroker(Options{History: 2, Epoch: "E"})
	in := b.NewInbox(func() {})
	if i, ok := b.Ports().Lookup("/a"); ok {
		t.Errorf("Lookup of a channel that is not there: %+v", i)
	}
	in.Attach(nil, []byte("/a"))
	want := Info{Name: "/a", Subscribers: 1}
	if i, _ := b.Ports().Lookup("/a"); i != want {
		t.Errorf("Lookup: %+v, want %+v", i, want)
	}
	for range 3 {
		mustPublish(t, b, "/a", "x", 1)
	}
	in.Attach(nil, []byte("/a"))
	size := messageOverhead + len("data: x\nid: E-1\n\n")
	want = Info{Name: "/a", Subscribers: 2, Published: 3, Head: 3, Epoch: "E", History: 3, Bytes: 3 * size}
	if i, _ := b.Ports().Lookup("/a"); i != want {
		t.Errorf("Lookup: %+v, want %+v", i, want)
	}
	figures := Figures{Channels: 1, Messages: 3, Kept: 3 * size, MaxKept: DefaultMaxKept}
	if got := b.Ports().Figures(); got != figures {
		t.Errorf("Figures: %+v, want %+v", got, figures)
	}
}

// BenchmarkPage is a page of 100 among a million channels, from a random place,
// and beside it what opening and closing one of them costs.
func BenchmarkPage(b *testing.B) {
	broker := NewBroker(Options{})
	in := broker.NewInbox(func() {})
	name := func(i int) string { return fmt.Sprintf("/rooms/%d", i*7919%1_000_000) }
	for i := range 1_000_000 {
		in.Attach(nil, []byte(name(i)))
	}
	b.Run("page", func(b *testing.B) {
		b.ReportAllocs()
		var page []Info
		for i := 0; b.Loop(); i++ {
			page = broker.Ports().Page(page[:0], "/rooms/", name(i%1_000_000), 100)
		}
	})
	b.Run("open-close", func(b *testing.B) {
		b.ReportAllocs()
		var chans []*Channel
		for i := 0; b.Loop(); i++ {
			chans, _ = in.Attach(chans[:0], []byte(name(i%1_000_000)+"+"))
			in.Detach(chans...)
		}
	})
}
