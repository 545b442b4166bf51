package channels

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBrokerAgainstModel(t *testing.T) {
	data := bytes.Repeat([]byte("x"), maxUnserved)
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{
			History:        rapid.IntRange(0, 3).Draw(t, "history"),
			MaxKept:        rapid.SampledFrom([]int{1, 500, 2000, 10000, 2 << 20, 16 << 20}).Draw(t, "max kept"),
			HistoryTTL:     rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "time to live"),
			MaxEventBytes:  2 * maxUnserved,
			Epoch:          "E",
			PublishTimeout: 1, // nobody serves meanwhile
		}
		b := NewBroker(opts)
		n := &naive{chans: map[string]*naiveChannel{}, opts: opts, backlog: b.backlog, forgotten: map[string]uint64{}}
		b.clock = func() time.Duration { return n.now }
		for range rapid.IntRange(1, 3).Draw(t, "inboxes") {
			in := &naiveInbox{ofChannel: map[string]int{}}
			in.inbox = b.NewInbox(func() { in.wakes++ })
			n.inboxes = append(n.inboxes, in)
		}
		for range 2 {
			n.ears = append(n.ears, &naiveEar{channels: map[string]bool{}, patterns: map[Glob]bool{}})
		}
		ear := rapid.SampledFrom(n.ears)
		pattern := rapid.SampledFrom([]Glob{"*", "/a", "/[bc]", "?d"})
		name := rapid.SampledFrom([]string{"/a", "/b", "/c", "/d"})
		inbox := rapid.IntRange(0, len(n.inboxes)-1)
		small := rapid.IntRange(0, 300)
		publish := func(t *rapid.T, size int) {
			channel := name.Draw(t, "channel")
			before := n.seq()
			if n.crowded(channel) {
				if got, err := b.Publish(channel, Event{Data: data[:size]}); got.Receivers != 0 || !errors.Is(err, ErrBusy) {
					t.Fatalf("Publish(%s) to a crowded loop = %+v, %v, want 0, %v", channel, got, err, ErrBusy)
				}
				return
			}
			var calm []*naiveInbox // those that the message wakes
			for _, in := range n.inboxes {
				in.wakes = 0
				if len(in.waiting) == 0 {
					calm = append(calm, in)
				}
			}
			want := n.subscribers(channel) + n.hear(channel, size)
			if got, err := b.Publish(channel, Event{Data: data[:size]}); got.Receivers != want || err != nil {
				t.Fatalf("Publish(%s) = %+v, %v, want %d receivers, nil", channel, got, err, want)
			}
			seq := n.publish(channel, size+wireOverhead(opts, b, before+1))
			for i, in := range n.inboxes {
				wakes := 0
				if slices.Contains(calm, in) && slices.Contains(in.waiting, seq) {
					wakes = 1
				}
				if in.wakes != wakes {
					t.Fatalf("message %d woke inbox %d %d times, want %d", seq, i, in.wakes, wakes)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish":  func(t *rapid.T) { publish(t, small.Draw(t, "size")) },
			"publish2": func(t *rapid.T) { publish(t, small.Draw(t, "size")) }, // twice as likely
			"publish large": func(t *rapid.T) {
				publish(t, rapid.SampledFrom([]int{maxUnserved / 2, maxUnserved * 9 / 10, maxUnserved}).Draw(t, "size"))
			},
			"attach": func(t *rapid.T) {
				i := inbox.Draw(t, "inbox")
				in := n.inboxes[i]
				names := rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "names")
				raw := make([][]byte, len(names))
				for j, channel := range names {
					raw[j] = []byte(channel)
					n.open(channel).listeners[i]++
				}
				chans, cursor := in.inbox.Attach(nil, raw...)
				if cursor != n.seq() || len(chans) != len(names) {
					t.Fatalf("Attach(%v) = %d channels, cursor %d, want cursor %d", names, len(chans), cursor, n.seq())
				}
				for j, c := range chans {
					if c.Name() != names[j] || b.channels[names[j]] != c {
						t.Fatalf("Attach(%v)[%d] is %q", names, j, c.Name())
					}
				}
				in.attached = append(in.attached, chans...)
			},
			"detach": func(t *rapid.T) {
				i := inbox.Draw(t, "inbox")
				in := n.inboxes[i]
				if len(in.attached) == 0 {
					t.Skip("nobody is attached")
				}
				j := rapid.IntRange(0, len(in.attached)-1).Draw(t, "which")
				c := in.attached[j]
				in.attached = slices.Delete(in.attached, j, j+1)
				in.inbox.Detach(c)
				listeners := n.chans[c.name].listeners
				if listeners[i]--; listeners[i] == 0 {
					delete(listeners, i)
					delete(in.ofChannel, c.name)
				}
				n.retain(c.name)
				n.expire()
				n.bound()
			},
			"listen": func(t *rapid.T) {
				e, names := ear.Draw(t, "listener"), rapid.SliceOfN(name, 1, 3).Draw(t, "names")
				b.Ports().Observe(e, names...)
				for _, channel := range names {
					n.open(channel)
					e.channels[channel] = true
				}
			},
			"unlisten": func(t *rapid.T) {
				e, names := ear.Draw(t, "listener"), rapid.SliceOfN(name, 1, 3).Draw(t, "names")
				b.Ports().Unobserve(e, names...)
				for _, channel := range names {
					delete(e.channels, channel)
					if n.chans[channel] != nil {
						n.retain(channel)
					}
				}
				n.expire()
				n.bound()
			},
			"listen by pattern": func(t *rapid.T) {
				e, p := ear.Draw(t, "listener"), pattern.Draw(t, "pattern")
				b.Ports().ObserveGlob(e, p)
				e.patterns[p] = true
			},
			"unlisten by pattern": func(t *rapid.T) {
				e, p := ear.Draw(t, "listener"), pattern.Draw(t, "pattern")
				b.Ports().UnobserveGlob(e, p)
				delete(e.patterns, p)
			},
			"take": func(t *rapid.T) {
				in := n.inboxes[inbox.Draw(t, "inbox")]
				msgs := in.inbox.Take(in.spare)
				if !slices.Equal(seqs(msgs), in.waiting) {
					t.Fatalf("Take() = %v, want %v", seqs(msgs), in.waiting)
				}
				for _, m := range msgs {
					if want := n.history[m.Seq-1]; m.Channel.name != want.channel || m.size() != want.size || m.Evicted != want.evicted {
						t.Fatalf("message %d: channel %s, size %d, evicted %d, want %+v", m.Seq, m.Channel.name, m.size(), m.Evicted, want)
					}
				}
				in.taken = append(in.taken, msgs...)
				in.spare, in.waiting = msgs, nil
			},
			"served": func(t *rapid.T) {
				in := n.inboxes[inbox.Draw(t, "inbox")]
				part := in.taken[:rapid.IntRange(0, len(in.taken)).Draw(t, "how many")]
				for _, m := range part {
					served := n.history[m.Seq-1]
					in.unserved -= served.size
					if b.channels[served.channel] == m.Channel { // else it was closed and opened again
						in.ofChannel[served.channel] = max(in.ofChannel[served.channel]-served.size, 0)
					}
				}
				in.inbox.Served(part)
				in.taken = in.taken[len(part):]
			},
			"since": func(t *rapid.T) {
				in := n.inboxes[inbox.Draw(t, "inbox")]
				chans := slices.Clone(in.attached)
				slices.SortFunc(chans, func(x, y *Channel) int { return int(x.name[1]) - int(y.name[1]) })
				chans = slices.Compact(chans)
				cursor := rapid.Uint64Range(0, n.seq()).Draw(t, "cursor")
				if len(n.history) > 8 && rapid.Bool().Draw(t, "recent") {
					cursor = n.seq() - cursor%8
				}
				maxBytes := rapid.SampledFrom([]int{1, 300, 1000, 1 << 30}).Draw(t, "max bytes")
				want, wantKept := n.since(cursor, maxBytes, chans)
				got, kept := in.inbox.CatchUp(nil, cursor, Told{}, maxBytes, chans...)
				if kept != wantKept || !slices.Equal(seqs(got), want) {
					t.Fatalf("CatchUp(%d, %d bytes, %d channels) = %v, %v, want %v, %v",
						cursor, maxBytes, len(chans), seqs(got), kept, want, wantKept)
				}
				if kept && n.lost(cursor, chans) {
					t.Fatalf("CatchUp(%d) hides a loss", cursor)
				}
			},
			"time passes": func(t *rapid.T) {
				n.now += time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second
				if rapid.Bool().Draw(t, "expire") {
					b.sweep()
					n.expire()
				}
			},
			"resume": func(t *rapid.T) {
				i := inbox.Draw(t, "inbox")
				names := rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "names")
				raw := make([][]byte, len(names))
				for j, channel := range names {
					raw[j] = []byte(channel)
					n.open(channel).listeners[i]++
				}
				after := rapid.Uint64Range(0, n.seq()+1).Draw(t, "after")
				known, gap := opts.History > 0 && after <= n.seq(), GapUnknown
				id := string(appendID(nil, "E", after))
				switch rapid.IntRange(0, 7).Draw(t, "kind of id") {
				case 0:
					id, known, gap = Earliest, false, NoGap
				case 1:
					id, known, gap = "F-1", false, GapRestart
					if opts.History == 0 {
						gap = GapUnknown
					}
				}
				if !known {
					after = 0
				}
				maxBytes := rapid.SampledFrom([]int{1, 300, 1 << 30}).Draw(t, "max bytes")
				n.expire()
				missed, complete := n.resume(after, known, maxBytes, names)
				if known {
					if gap = NoGap; !complete {
						gap = GapEvicted
					}
				}
				var s Start
				in := n.inboxes[i]
				in.inbox.Join(&s, []byte(id), maxBytes, raw...)
				if !slices.Equal(seqs(s.Missed), missed) || s.Gap != gap || s.Head != n.seq() {
					t.Fatalf("Join(%q, %d bytes, %v) = %v, gap %q, head %d, want %v, %q, %d",
						id, maxBytes, names, seqs(s.Missed), s.Gap, s.Head, missed, gap, n.seq())
				}
				// The rest of what it gets, as a slow reader does.
				cursor := s.Cursor
				for _, m := range s.Missed {
					cursor = m.Seq
				}
				all, _ := n.resume(after, known, 1<<30, names)
				rest, kept := in.inbox.CatchUp(nil, cursor, s.Told, 1<<30, s.Channels...)
				if want := all[len(missed):]; !kept || !slices.Equal(seqs(rest), want) {
					t.Fatalf("after Join(%q, %d bytes, %v): %v, kept: %v, want %v", id, maxBytes, names, seqs(rest), kept, want)
				}
				in.attached = append(in.attached, s.Channels...)
			},
			"": func(t *rapid.T) {
				b.verify(t)
				n.compare(t, b)
			},
		})
	})
}

// wireOverhead is what a one-line event of sequence seq costs beside its data.
func wireOverhead(opts Options, b *Broker, seq uint64) int {
	size := len("data: \n\n") + messageOverhead
	if opts.History > 0 {
		size += len("id: \n") + len(appendID(nil, b.opts.Epoch, seq))
	}
	return size
}
