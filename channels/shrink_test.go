package channels

import (
	"fmt"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that the map is the same, channel by channel, while a smaller one is filled.
func TestShrinkAgainstIndex(t *testing.T) {
	for seed, left := range []int{0, 1, 40, 300} {
		b := NewBroker(Options{})
		in := b.NewInbox(func() {})
		attached := map[string]*Channel{}
		name := func(i int) string { return fmt.Sprintf("/%d", i) }
		attach := func(i int) {
			if attached[name(i)] == nil {
				chans, _ := in.Attach(nil, []byte(name(i)))
				attached[name(i)] = chans[0]
			}
		}
		for i := range 2 * worthShrinking {
			attach(i)
		}
		for i := 0; len(attached) > left; i++ {
			at := (i*7919 + 17*seed) % (2 * worthShrinking)
			if c := attached[name(at)]; c != nil {
				in.Detach(c)
				delete(attached, name(at))
			}
			if i%100 == 0 && len(attached) > 500 {
				attach((i*31 + seed) % (2 * worthShrinking))
			}
			if i%1000 == 0 && seed%2 == 0 {
				b.sweep()
			}
		}
		b.sweep()
		b.verify(t)
		if len(b.channels) != len(attached) || b.shrink.peak > worthShrinking+1 {
			t.Fatalf("%d channels, want %d, in a map that has had %d", len(b.channels), len(attached), b.shrink.peak)
		}
		for name, c := range attached {
			if b.channels[name] != c {
				t.Fatalf("%s is another channel", name)
			}
		}
	}
}

// Ensure that memory goes back after a peak of channels.
func TestMemoryAfterAPeak(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector takes memory")
	}
	const peak, stay = 200_000, 1000
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	var chans []*Channel
	for i := range stay {
		chans, _ = in.Attach(chans[:0], fmt.Appendf(nil, "/stay/%d", i))
	}
	before := heapInUse()
	var gone []*Channel
	for i := range peak {
		gone, _ = in.Attach(gone, fmt.Appendf(nil, "/gone/%d", i))
	}
	atPeak := heapInUse() - before
	for i, c := range gone {
		in.Detach(c)
		gone[i] = nil
	}
	gone = nil
	b.sweep()
	b.verify(t)
	if left := heapInUse() - before; left > atPeak/50 {
		t.Errorf("%d bytes are left of %d after a peak of %d channels, want 2 %%", left, atPeak, peak)
	}
}
