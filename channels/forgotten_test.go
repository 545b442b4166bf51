package channels

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/dchest/siphash"
	"pgregory.net/rapid"
)

// Ensure that a name is never told less than went with its channel, and exactly that
// while its bucket has room.
func TestForgottenAgainstMap(t *testing.T) {
	key := forgottenKey{1, 2}
	var crowded, spread []string // names of two buckets, and of any
	for i := 0; len(crowded) < 4*bucketNames; i++ {
		name := fmt.Sprint(i)
		if siphash.Hash(key[0], key[1], []byte(name))%buckets < 2 {
			crowded = append(crowded, name)
		} else if len(spread) < 4*bucketNames {
			spread = append(spread, name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := forgotten{key: key}
		all := make(map[string]uint64)
		crowd := make(map[*bucket]int) // names by bucket
		names := rapid.SampledFrom([][]string{crowded, spread}).Draw(t, "names")
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			name, seq := rapid.SampledFrom(names).Draw(t, "name"), rapid.Uint64Range(0, 1000).Draw(t, "seq")
			if _, known := all[name]; !known {
				p, _ := f.find(name, true)
				crowd[p]++
			}
			all[name] = max(all[name], seq)
			f.add(name, seq)
			for _, name := range names {
				p, _ := f.find(name, true)
				if got, want := f.of(name), all[name]; got < want || got > want && crowd[p] <= bucketNames {
					t.Fatalf("of(%s) = %d, want %d, with %d names in its bucket", name, got, want, crowd[p])
				}
			}
		}
	})
}

// Ensure that at most one in a hundred of 200,000 channels that have vanished has a
// gap when it comes back, with a memory of 8 MiB.
func TestForgottenCrowd(t *testing.T) {
	const n = 200_000
	f := forgotten{key: newForgottenKey()}
	name := func(i int) string { return fmt.Sprintf("/rooms/%d", i) }
	for i := range n {
		f.add(name(i), uint64(1+i))
		f.add(name(i/2), uint64(1+i/2)) // what is known already changes nothing
	}
	gaps := 0
	for i := range n {
		switch got := f.of(name(i)); {
		case got < uint64(1+i):
			t.Fatalf("of channel %d: %d, want at least its own %d", i, got, 1+i)
		case got > uint64(1+i):
			gaps++
		}
	}
	if gaps > n/100 {
		t.Errorf("%d of %d channels have a gap that is none, want at most 1 %%", gaps, n)
	}
	if size := int(unsafe.Sizeof(bucket{})) * buckets; size > 8<<20 {
		t.Errorf("%d bytes, want at most 8 MiB", size)
	}
}

// Ensure that another process with the key and the buckets can tell the same.
func TestForgottenKeyLeavesTheProcess(t *testing.T) {
	here := forgotten{key: newForgottenKey()}
	here.add("/a", 7)
	there := forgotten{key: forgottenKey{here.key[0], here.key[1]}, pages: here.pages}
	if got := there.of("/a"); got != 7 {
		t.Errorf("of(/a) = %d by the same key, want 7", got)
	}
	if one, other := newForgottenKey(), newForgottenKey(); one == other {
		t.Error("two keys are the same")
	}
}

// BenchmarkForgotten is what opening and closing a channel costs here.
func BenchmarkForgotten(b *testing.B) {
	f := forgotten{key: newForgottenKey()}
	names := make([]string, 200_000)
	for i := range names {
		names[i] = fmt.Sprintf("/rooms/%d", i)
		f.add(names[i], uint64(1+i))
	}
	b.Run("of", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			f.of(names[i*7919%len(names)])
		}
	})
	b.Run("add", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			f.add(names[i*7919%len(names)], uint64(i))
		}
	})
}

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
			inbox := b.NewInbox(func() {})
			var s Start
			inbox.Join(&s, fmt.Appendf(nil, "%s-%d", b.epoch, after), 1<<20, []byte("/mine"))
			inbox.Detach(s.Channels...)
			return s.Gap == NoGap
		}
		publish("/mine")
		mine := b.Feed().Head()
		time.Sleep(2 * time.Minute)
		const others = 1000
		for i := range others {
			publish(fmt.Sprintf("/other/%d", i))
		}
		time.Sleep(2 * time.Minute)
		b.sweep()
		if len(b.channels) != 0 {
			t.Fatalf("%d channels, want none", len(b.channels))
		}
		if !complete(mine) {
			t.Error("resuming after the channel's last message has a gap, want none")
		}
		if complete(mine - 1) {
			t.Error("resuming before a message that is gone is complete, want a gap")
		}
	})
}
