package channels

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naiveReader is a subscriber that has resumed and is behind.
type naiveReader struct {
	names  []string
	floors []uint64 // by name: what was gone when it came
	chans  []*Channel
	cursor uint64
	told   Told
}

// readOn is what a reader gets next, false when something is gone that was there when it
// came, or was published afterwards.
func (n *naive) readOn(r *naiveReader, maxBytes int) (seqs []uint64, kept bool) {
	for i, name := range r.names {
		if n.evicted(name) > max(r.cursor, r.floors[i]) {
			return nil, false
		}
	}
	size := 0
	for _, m := range n.history {
		if m.kept && m.seq > r.cursor && slices.Contains(r.names, m.channel) && size < maxBytes {
			seqs = append(seqs, m.seq)
			size += m.size - messageOverhead
		}
	}
	return seqs, true
}

// Ensure that clients which resume on several channels and read slowly get all that was
// kept when they came, or learn that they cannot, whatever of whichever channel is evicted
// meanwhile.
func TestReadersAgainstModel(t *testing.T) {
	reads, lapses := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{
			History: rapid.IntRange(1, 3).Draw(t, "history"), MaxEventBytes: 1000, Epoch: "E",
			MaxKept: rapid.SampledFrom([]int{500, 1000, 1500}).Draw(t, "max kept"),
		}
		b := NewBroker(opts)
		n := &naive{chans: map[string]*naiveChannel{}, opts: opts, backlog: b.backlog, forgotten: map[string]uint64{}}
		in := &naiveInbox{inbox: b.NewInbox(func() {}), ofChannel: map[string]int{}}
		n.inboxes = []*naiveInbox{in}
		name := rapid.SampledFrom([]string{"/a", "/b", "/c"})
		maxBytes := rapid.SampledFrom([]int{1, 1, 1 << 30})
		var readers []*naiveReader
		publish := func(t *rapid.T) {
			channel := name.Draw(t, "channel")
			if _, err := b.Publish(channel, Event{Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			n.publish(channel, 1+wireOverhead(opts, b, n.seq()+1))
			in.inbox.Served(in.inbox.Take(nil))
			in.waiting, in.unserved = nil, 0
			clear(in.ofChannel)
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish":  publish,
			"publish2": publish,
			"resume": func(t *rapid.T) {
				r := &naiveReader{names: rapid.SliceOfNDistinct(name, 2, 3, rapid.ID[string]).Draw(t, "names")}
				var raw [][]byte
				for _, channel := range r.names {
					raw = append(raw, []byte(channel))
					n.open(channel).listeners[0]++
				}
				id := rapid.SampledFrom([]string{"F-1", "E-0", Earliest}).Draw(t, "id")
				var s Start
				in.inbox.Join(&s, []byte(id), maxBytes.Draw(t, "max bytes"), raw...)
				r.chans, r.cursor, r.told = s.Channels, s.Cursor, s.Told
				if len(s.Missed) > 0 {
					r.cursor = s.Missed[len(s.Missed)-1].Seq
				}
				for _, channel := range r.names {
					r.floors = append(r.floors, n.evicted(channel))
				}
				readers = append(readers, r)
			},
			"read on": func(t *rapid.T) {
				if len(readers) == 0 {
					t.Skip("nobody is behind")
				}
				i := rapid.IntRange(0, len(readers)-1).Draw(t, "reader")
				r, most := readers[i], maxBytes.Draw(t, "max bytes")
				want, wantKept := n.readOn(r, most)
				got, kept := in.inbox.CatchUp(nil, r.cursor, r.told, most, r.chans...)
				if kept != wantKept || !slices.Equal(seqs(got), want) {
					t.Fatalf("a reader of %v at %d, with the floors %d: %v, kept: %v, want %v, %v", r.names, r.cursor, r.floors, seqs(got), kept, want, wantKept)
				}
				if _, lapped := in.inbox.Missing(r.cursor, r.told, r.chans...); lapped == kept {
					t.Fatalf("a reader of %v at %d is lapped: %v, for CatchUp: %v", r.names, r.cursor, lapped, !kept)
				}
				if reads++; len(got) > 0 {
					r.cursor = got[len(got)-1].Seq
					return
				}
				if !kept {
					lapses++
				}
				readers = slices.Delete(readers, i, i+1) // it has everything, or is ended
				in.inbox.Detach(r.chans...)
				for _, channel := range r.names {
					listeners := n.chans[channel].listeners
					if listeners[0]--; listeners[0] == 0 {
						delete(listeners, 0)
					}
					n.retain(channel)
				}
				n.bound()
			},
			"": func(t *rapid.T) {
				b.verify(t)
				n.compare(t, b)
			},
		})
	})
	if t.Logf("%d reads, %d of a reader that is lapped", reads, lapses); lapses == 0 || lapses == reads {
		t.Error("the model does not lap some of its readers")
	}
}
