package channels

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// verify rechecks a list of n channels.
func (l *gapList) verify(t rapid.TB, n int) {
	t.Helper()
	var prev uint32
	var place uint64
	found := 0
	for i := l.first; i != 0; prev, i = i, l.at(i).next {
		e := l.at(i)
		if e.prev != prev || e.channel == nil || e.channel.gap < place {
			t.Fatalf("entry %d of the gaps is not behind entry %d, or not by its place", i, prev)
		}
		place = e.channel.gap
		found++
	}
	if found != n || l.n != n || l.last != prev {
		t.Fatalf("%d gaps, counted as %d, the last is %d, want %d, %d", found, l.n, l.last, n, prev)
	}
	if n == 0 && l.blocks != nil {
		t.Fatalf("no gaps, and memory for %d", len(l.blocks)<<gapBlockShift)
	}
}

// Ensure that the list is what a slice would be, from which a channel is deleted before it
// is appended again.
func TestGapListAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l gapList
		var naive []*Channel
		chans := make([]*Channel, 3<<gapBlockShift/2)
		entries := make(map[*Channel]uint32)
		for i := range chans {
			chans[i] = new(Channel)
		}
		remove := func(c *Channel) {
			l.remove(entries[c])
			delete(entries, c)
			i := slices.Index(naive, c)
			naive = slices.Delete(naive, i, i+1)
		}
		place := uint64(0)
		push := func(c *Channel) {
			if entries[c] != 0 {
				remove(c)
			}
			place++
			c.gap = place
			entries[c] = l.push(c)
			naive = append(naive, c)
		}
		channel := rapid.SampledFrom(chans)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) { push(channel.Draw(t, "channel")) },
			"push many": func(t *rapid.T) {
				from := rapid.IntRange(0, len(chans)).Draw(t, "from")
				for _, c := range chans[from:min(from+300, len(chans))] {
					push(c)
				}
			},
			"tell": func(*rapid.T) {
				for range min(len(naive), 300) {
					remove(l.oldest())
				}
			},
			"leave": func(t *rapid.T) {
				if c := channel.Draw(t, "channel"); entries[c] != 0 {
					remove(c)
				}
			},
			"": func(t *rapid.T) {
				l.verify(t, len(naive))
				if c := l.oldest(); c != nil && c != naive[0] || c == nil && len(naive) > 0 {
					t.Fatal("another channel than that of the oldest gap is the first")
				}
			},
		})
	})
}
