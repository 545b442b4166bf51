package channels

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// naive is the broker as one would write it without care for time: everything
// ever published in one slice, everything asked for found by going through it.
type naive struct {
	opts    Options
	backlog int            // Broker.backlog
	history []naiveMessage // history[i] has sequence i+1
	chans   map[string]*naiveChannel
	inboxes []*naiveInbox
	ears    []*naiveEar
	// forgotten is the newest message that went with its channel.
	forgotten map[string]uint64
	now       time.Duration
}

type naiveMessage struct {
	born    time.Duration
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

// naiveEar is a listener: what it hears, and what it has to.
type naiveEar struct {
	heard, want []string
	channels    map[string]bool
	patterns    map[Glob]bool
}

func (e *naiveEar) Hear(pattern Glob, channel string, data []byte) {
	e.heard = append(e.heard, hearing(pattern, channel, len(data)))
}

func hearing(pattern Glob, channel string, size int) string {
	return fmt.Sprintf("%s|%s|%d", pattern, channel, size)
}

// hear has an event heard, each ear by channel and then by its patterns in any
// order, and returns how many receive it by pattern.
func (n *naive) hear(channel string, size int) (byPattern int) {
	for _, e := range n.ears {
		if e.channels[channel] {
			e.want = append(e.want, hearing("", channel, size))
		}
		for pattern := range e.patterns {
			if naiveMatch(string(pattern), channel) {
				e.want = append(e.want, hearing(pattern, channel, size))
				byPattern++
			}
		}
	}
	return byPattern
}

type naiveInbox struct {
	inbox    *Inbox
	wakes    int
	waiting  []uint64 // posted, not taken
	taken    []*Message
	spare    []*Message
	unserved int
	// ofChannel is the part of unserved that is of one channel, since the inbox
	// has had subscribers of it.
	ofChannel map[string]int
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
	for _, e := range n.ears {
		if e.channels[channel] {
			sum++
		}
	}
	return sum
}

func (n *naive) crowded(channel string) bool {
	if c := n.chans[channel]; c != nil {
		for i := range c.listeners {
			if n.inboxes[i].unserved >= maxUnserved || n.inboxes[i].ofChannel[channel] >= maxUnserved/2 {
				return true
			}
		}
	}
	return false
}

func (n *naive) open(channel string) *naiveChannel {
	if n.chans[channel] == nil {
		n.chans[channel] = &naiveChannel{listeners: map[int]int{}, born: n.forgotten[channel]}
	}
	return n.chans[channel]
}

func (n *naive) publish(channel string, size int) (seq uint64) {
	seq = n.seq() + 1
	n.history = append(n.history, naiveMessage{born: n.now, seq: seq, channel: channel, size: size})
	if n.opts.History == 0 && n.chans[channel] == nil {
		n.forgotten[channel] = seq
		return seq
	}
	c := n.open(channel)
	n.history[seq-1].kept = true
	for i := range c.listeners {
		n.inboxes[i].waiting = append(n.inboxes[i].waiting, seq)
		n.inboxes[i].unserved += size
		n.inboxes[i].ofChannel[channel] += size
	}
	n.expire()
	n.retain(channel)
	n.bound()
	if n.chans[channel] != nil {
		n.history[seq-1].evicted = n.evicted(channel)
	}
	return seq
}

// expire applies HistoryTTL.
func (n *naive) expire() {
	for i := range n.history {
		if m := &n.history[i]; m.kept && n.opts.HistoryTTL > 0 && n.now-m.born >= n.opts.HistoryTTL {
			m.kept = false
			n.retain(m.channel)
		}
	}
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
		if above := n.aboveHistory(); above != "" {
			oldest = above
		}
		n.evict(oldest)
		n.retain(oldest)
	}
}

// aboveHistory is the channel that keeps more than History and has been published to
// least lately, "" if none does.
func (n *naive) aboveHistory() (channel string) {
	least := n.seq() + 1
	for name := range n.chans {
		kept, newest := 0, uint64(0)
		for _, m := range n.history {
			if m.kept && m.channel == name {
				kept++
				newest = m.seq
			}
		}
		if kept > n.opts.History && newest < least {
			channel, least = name, newest
		}
	}
	return channel
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
			n.forgotten[channel] = max(n.forgotten[channel], n.evicted(channel))
			delete(n.chans, channel)
			return
		}
		if count <= n.opts.History || len(n.chans[channel].listeners) > 0 && size <= n.backlog {
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

// resume is where a subscriber of names begins that has all up to after, or, if it
// is not known, nothing.
func (n *naive) resume(after uint64, known bool, maxBytes int, names []string) (missed []uint64, complete bool) {
	complete = true
	size := 0
	for _, name := range names {
		complete = complete && (!known || n.evicted(name) <= after)
	}
	for _, m := range n.history {
		if m.kept && m.seq > after && slices.Contains(names, m.channel) && size < maxBytes {
			missed = append(missed, m.seq)
			size += m.size - messageOverhead
		}
	}
	if n.opts.History == 0 {
		missed = nil // what is there is for readers that are behind
	}
	return missed, complete
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

// compare checks all that can be seen of b against the model.
func (n *naive) compare(t *rapid.T, b *Broker) {
	if b.seq != n.seq() || len(b.channels) != len(n.chans) {
		t.Fatalf("sequence %d, %d channels, want %d, %d", b.seq, len(b.channels), n.seq(), len(n.chans))
	}
	for channel, seq := range n.forgotten {
		if got := b.forgotten.of(channel); got != seq {
			t.Fatalf("forgotten of %s: %d, want %d", channel, got, seq)
		}
	}
	var names []string
	for name := range n.chans {
		if b.channels[name] == nil {
			t.Fatalf("channel %s is gone", name)
		}
		if got, want := b.Ports().Subscribers(name), n.subscribers(name); got != want {
			t.Fatalf("Subscribers(%s) = %d, want %d", name, got, want)
		} else if want > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if got := b.Ports().Channels(); !slices.Equal(got, names) {
		t.Fatalf("Channels() = %v, want %v", got, names)
	}
	patterns := map[Glob]bool{}
	for i, e := range n.ears {
		slices.Sort(e.heard) // of one event at a time
		slices.Sort(e.want)
		if !slices.Equal(e.heard, e.want) {
			t.Fatalf("listener %d heard %q, want %q", i, e.heard, e.want)
		}
		e.heard, e.want = nil, nil
		maps.Copy(patterns, e.patterns)
	}
	if got := b.Ports().Globs(); got != len(patterns) {
		t.Fatalf("Patterns() = %d, want %d", got, len(patterns))
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
		for _, c := range b.channels {
			if a := c.find(in.inbox); a >= 0 && int(c.loops[a].unserved) != in.ofChannel[c.name] {
				t.Fatalf("inbox %d: %d bytes of %s unserved, want %d", i, c.loops[a].unserved, c.name, in.ofChannel[c.name])
			}
		}
	}
}
