package channels

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naive is the broker as one would write it without care for time: everything
// ever published in one slice, everything asked for found by going through it.
type naive struct {
	opts    Options
	history []naiveMessage // history[i] has sequence i+1
	chans   map[string]*naiveChannel
	inboxes []*naiveInbox
	// forgotten is the newest message that went with its channel.
	forgotten uint64
}

type naiveMessage struct {
	seq     uint64
	channel string
	size    int
	kept    bool
	evicted uint64 // the channel's newest message not kept after this was published
}

// naiveChannel exists while somebody listens or something is kept.
type naiveChannel struct {
	listeners map[int]int // by inbox
	born      uint64      // what counts as lost at birth
}

type naiveInbox struct {
	inbox    *Inbox
	wakes    int
	waiting  []uint64 // posted, not taken
	taken    []*Message
	spare    []*Message
	unserved int
	// attached are the subscriptions of the inbox, one entry each.
	attached []*Channel
}

func (n *naive) seq() uint64 { return uint64(len(n.history)) }

func (n *naive) subscribers(channel string) (sum int) {
	if c := n.chans[channel]; c != nil {
		for _, subscribers := range c.listeners {
			sum += subscribers
		}
	}
	return sum
}

func (n *naive) crowded(channel string) bool {
	if c := n.chans[channel]; c != nil {
		for i := range c.listeners {
			if n.inboxes[i].unserved >= maxUnserved {
				return true
			}
		}
	}
	return false
}

func (n *naive) open(channel string) *naiveChannel {
	if n.chans[channel] == nil {
		n.chans[channel] = &naiveChannel{listeners: map[int]int{}, born: n.forgotten}
	}
	return n.chans[channel]
}

func (n *naive) publish(channel string, size int) (seq uint64) {
	seq = n.seq() + 1
	n.history = append(n.history, naiveMessage{seq: seq, channel: channel, size: size})
	if n.opts.History == 0 && n.chans[channel] == nil {
		n.forgotten = seq
		return seq
	}
	c := n.open(channel)
	n.history[seq-1].kept = true
	for i := range c.listeners {
		n.inboxes[i].waiting = append(n.inboxes[i].waiting, seq)
		n.inboxes[i].unserved += size
	}
	n.retain(channel)
	n.bound()
	if n.chans[channel] != nil {
		n.history[seq-1].evicted = n.evicted(channel)
	}
	return seq
}

// bound applies MaxKept.
func (n *naive) bound() {
	for {
		total := 0
		for name := range n.chans {
			if n.subscribers(name) == 0 {
				total += channelOverhead + len(name)
			}
		}
		oldest := ""
		for _, m := range slices.Backward(n.history) {
			if m.kept {
				total += m.size
				oldest = m.channel
			}
		}
		if total <= n.opts.MaxKept {
			return
		}
		n.evict(oldest)
		n.retain(oldest)
	}
}

func (n *naive) evict(channel string) {
	for i := range n.history {
		if m := &n.history[i]; m.kept && m.channel == channel {
			m.kept = false
			return
		}
	}
}

// retain applies a channel's own bounds.
func (n *naive) retain(channel string) {
	for {
		count, size := 0, 0
		for _, m := range n.history {
			if m.kept && m.channel == channel {
				count++
				size += m.size
			}
		}
		idle := n.subscribers(channel) == 0
		if idle && count == 0 {
			n.forgotten = max(n.forgotten, n.evicted(channel))
			delete(n.chans, channel)
			return
		}
		if count <= n.opts.History || !idle && size <= backlogBytes {
			return
		}
		n.evict(channel)
	}
}

// evicted is the newest message of channel that is not kept.
func (n *naive) evicted(channel string) uint64 {
	newest := n.chans[channel].born
	for _, m := range n.history {
		if m.channel == channel && !m.kept && m.seq > newest {
			newest = m.seq
		}
	}
	return newest
}

// lost tells whether a message of the channels after cursor is not kept.
func (n *naive) lost(cursor uint64, chans []*Channel) bool {
	for _, m := range n.history {
		if m.seq > cursor && !m.kept && slices.ContainsFunc(chans, func(c *Channel) bool { return c.name == m.channel }) {
			return true
		}
	}
	return false
}

func (n *naive) since(cursor uint64, maxBytes int, chans []*Channel) (seqs []uint64, kept bool) {
	for _, c := range chans {
		if n.evicted(c.name) > cursor {
			return nil, false
		}
	}
	size := 0
	for _, m := range n.history {
		listens := slices.ContainsFunc(chans, func(c *Channel) bool { return c.name == m.channel })
		if m.seq > cursor && listens && size < maxBytes {
			seqs = append(seqs, m.seq)
			size += m.size - messageOverhead
		}
	}
	return seqs, true
}

func TestBrokerAgainstModel(t *testing.T) {
	data := bytes.Repeat([]byte("x"), maxUnserved)
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{
			History:        rapid.IntRange(0, 3).Draw(t, "history"),
			MaxKept:        rapid.SampledFrom([]int{1, 500, 2000, 10000, 2 << 20, 16 << 20}).Draw(t, "max kept"),
			MaxEventBytes:  2 * maxUnserved,
			PublishTimeout: 1, // nobody serves meanwhile
		}
		n := &naive{chans: map[string]*naiveChannel{}, opts: opts}
		b := NewBroker(opts)
		for range rapid.IntRange(1, 3).Draw(t, "inboxes") {
			in := &naiveInbox{}
			in.inbox = NewInbox(func() { in.wakes++ })
			n.inboxes = append(n.inboxes, in)
		}
		name := rapid.SampledFrom([]string{"/a", "/b", "/c", "/d"})
		inbox := rapid.IntRange(0, len(n.inboxes)-1)
		small := rapid.IntRange(0, 300)
		publish := func(t *rapid.T, size int) {
			channel := name.Draw(t, "channel")
			before := n.seq()
			if n.crowded(channel) {
				if got, err := b.Publish(channel, Event{Data: data[:size]}); got != 0 || !errors.Is(err, ErrBusy) {
					t.Fatalf("Publish(%s) to a crowded loop = %d, %v, want 0, %v", channel, got, err, ErrBusy)
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
			want := n.subscribers(channel)
			if got, err := b.Publish(channel, Event{Data: data[:size]}); got != want || err != nil {
				t.Fatalf("Publish(%s) = %d, %v, want %d, nil", channel, got, err, want)
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
				chans, cursor := b.Attach(in.inbox, nil, raw...)
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
				b.Detach(in.inbox, c)
				listeners := n.chans[c.name].listeners
				if listeners[i]--; listeners[i] == 0 {
					delete(listeners, i)
				}
				n.retain(c.name)
				n.bound()
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
					in.unserved -= n.history[m.Seq-1].size
				}
				b.Served(in.inbox, part)
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
				got, kept := b.Since(nil, cursor, maxBytes, chans...)
				if kept != wantKept || !slices.Equal(seqs(got), want) {
					t.Fatalf("Since(%d, %d bytes, %d channels) = %v, %v, want %v, %v",
						cursor, maxBytes, len(chans), seqs(got), kept, want, wantKept)
				}
				if kept && n.lost(cursor, chans) {
					t.Fatalf("Since(%d) hides a loss", cursor)
				}
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

// compare checks all that can be seen of b against the model.
func (n *naive) compare(t *rapid.T, b *Broker) {
	if b.seq != n.seq() || b.forgotten != n.forgotten || len(b.channels) != len(n.chans) {
		t.Fatalf("sequence %d, forgotten %d, %d channels, want %d, %d, %d",
			b.seq, b.forgotten, len(b.channels), n.seq(), n.forgotten, len(n.chans))
	}
	var names []string
	for name := range n.chans {
		if b.channels[name] == nil {
			t.Fatalf("channel %s is gone", name)
		}
		if got, want := b.Subscribers(name), n.subscribers(name); got != want {
			t.Fatalf("Subscribers(%s) = %d, want %d", name, got, want)
		} else if want > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if got := b.Channels(); !slices.Equal(got, names) {
		t.Fatalf("Channels() = %v, want %v", got, names)
	}
	m := b.kept.oldest
	for _, want := range n.history {
		if !want.kept {
			continue
		}
		if m == nil || m.Seq != want.seq {
			t.Fatalf("kept: %+v, want %+v", m, want)
		}
		m = m.newer
	}
	if m != nil {
		t.Fatalf("kept: %+v, want nothing", m)
	}
	for i, in := range n.inboxes {
		for _, m := range in.taken {
			if !n.history[m.Seq-1].kept && (m.older != nil || m.newer != nil) {
				t.Fatalf("message %d is no longer kept, and holds on to its neighbours", m.Seq)
			}
		}
		if in.inbox.unserved != in.unserved {
			t.Fatalf("inbox %d: %d bytes unserved, want %d", i, in.inbox.unserved, in.unserved)
		}
	}
}
