package channels

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// verify rechecks the broker's entire structure.
func (b *Broker) verify(t rapid.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ordered.verify(t, b.channels)
	inLogs, rent := 0, 0
	untold := make(map[*Inbox]int) // gaps
	for name, c := range b.channels {
		if c.name != name {
			t.Fatalf("channel %q stands under %q", c.name, name)
		}
		subscribers := 0
		for i, a := range c.loops {
			subscribers += int(a.subscribers)
			if a.subscribers < 1 || c.find(a.inbox) != i {
				t.Fatalf("channel %q: attachment %d is empty or doubled", name, i)
			}
			if a.gap != 0 && a.inbox.gaps.at(a.gap).channel != c {
				t.Fatalf("channel %q: its gap is that of another channel", name)
			}
			if _, ok := untold[a.inbox]; !ok {
				untold[a.inbox] = 0
			}
			if a.gap != 0 {
				untold[a.inbox]++
			}
		}
		loops := subscribers
		subscribers += len(c.observers())
		if int(c.subscribers) != subscribers {
			t.Fatalf("channel %q: %d subscribers, %d on its loops and listeners", name, c.subscribers, subscribers)
		}
		if subscribers == 0 && c.log.count() == 0 {
			t.Fatalf("channel %q has nothing, and is still there", name)
		}
		if (c.log == nil) != (c.log.count() == 0) {
			t.Fatalf("channel %q has a log of %d messages: %v", name, c.log.count(), c.log)
		}
		if listed := c.log != nil && c.log.excess.listed; listed != (c.log.count() > b.opts.History) {
			t.Fatalf("channel %q keeps %d messages, and is listed for it: %v", name, c.log.count(), listed)
		}
		if c.log.count() > b.opts.History && (loops == 0 || c.log.bytes() > b.backlog) {
			t.Fatalf("channel %q keeps %d messages of %d bytes for %d subscribers", name, c.log.count(), c.log.bytes(), subscribers)
		}
		kept := make([]*Message, c.log.count())
		newest := c.evicted
		for i := range kept {
			m := c.log.at(i)
			if m.Channel != c || m.Seq <= newest {
				t.Fatalf("channel %q: message %d of %q after %d", name, m.Seq, m.Channel.name, newest)
			}
			kept[i], newest = m, m.Seq
		}
		c.log.verify(t, kept)
		inLogs += c.log.count()
		if want := channelOverhead + len(name); subscribers > 0 && c.rent != 0 || subscribers == 0 && int(c.rent) != want {
			t.Fatalf("channel %q with %d subscribers has a rent of %d, want %d when idle, else 0", name, subscribers, c.rent, want)
		}
		rent += int(c.rent)
	}
	for in, n := range untold {
		in.gaps.verify(t, n)
		if in.Gapped() != (n > 0) {
			t.Fatalf("an inbox with %d gaps says that there are some: %v", n, in.Gapped())
		}
	}

	for i, h := range b.globs.all() {
		if len(h.observers) == 0 || b.findGlobLocked(h.glob) != i {
			t.Fatalf("pattern %q: nobody listens with it, or it is there twice", h.glob)
		}
	}
	var older *Message
	listed, size := 0, rent
	for m := b.kept.oldest; m != nil; m = m.newer {
		if m.older != older || older != nil && older.Seq >= m.Seq {
			t.Fatalf("message %d: its older neighbour is %v, want %v", m.Seq, m.older, older)
		}
		if i := m.Channel.log.after(m.Seq - 1); i == m.Channel.log.count() || m.Channel.log.at(i) != m {
			t.Fatalf("message %d is listed, and not in its channel's log", m.Seq)
		}
		listed++
		size += m.size()
		older = m
	}
	if b.kept.newest != older || listed != inLogs || b.kept.size != size {
		t.Fatalf("%d messages listed, %d in logs; %d bytes counted, want %d; newest %v, want %v",
			listed, inLogs, b.kept.size, size, b.kept.newest, older)
	}
	if size > b.opts.MaxKept {
		t.Fatalf("%d bytes kept, want at most %d", size, b.opts.MaxKept)
	}
}

// mustPublish publishes text on the channel and checks the answer.
func mustPublish(t *testing.T, b *Broker, channel, text string, receivers int) {
	t.Helper()
	if n, err := b.Publish(channel, Event{Data: []byte(text)}); n.Receivers != receivers || err != nil {
		t.Fatalf("Publish(%q, %.32q) = %v, %v, want %d, nil", channel, text, n, err, receivers)
	}
}

func seqs(msgs []*Message) []uint64 {
	s := make([]uint64, len(msgs))
	for i, m := range msgs {
		s[i] = m.Seq
	}
	return s
}

func TestPublishReachesSubscribers(t *testing.T) {
	b := NewBroker(Options{})
	one, two := b.NewInbox(func() {}), b.NewInbox(func() {})
	mustPublish(t, b, "/a", "to nobody", 0)
	chans, cursor := one.Attach(nil, []byte("/a"), []byte("/b"))
	if len(chans) != 2 || chans[0].Name() != "/a" || chans[1].Name() != "/b" || cursor != 1 {
		t.Fatalf("Attach(/a, /b) = %v, %d, want /a and /b, 1", chans, cursor)
	}
	again, _ := one.Attach(nil, []byte("/a"))
	two.Attach(nil, []byte("/a"))
	if again[0] != chans[0] {
		t.Fatal("two attachments to /a got different channels")
	}
	mustPublish(t, b, "/a", "x", 3) // 2
	mustPublish(t, b, "/b", "y", 1) // 3
	mustPublish(t, b, "/c", "z", 0) // 4
	one.Detach(chans[0])
	mustPublish(t, b, "/a", "w", 2) // 5
	one.Detach(again...)
	mustPublish(t, b, "/a", "v", 1) // 6

	if got, want := seqs(one.Take(nil)), []uint64{2, 3, 5}; !slices.Equal(got, want) {
		t.Errorf("the first inbox got %v, want %v", got, want)
	}
	if got, want := seqs(two.Take(nil)), []uint64{2, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("the second inbox got %v, want %v", got, want)
	}
	b.verify(t)
}

func TestPublishRefusesNames(t *testing.T) {
	b := NewBroker(Options{History: 1})
	for _, name := range []string{"", "a\nb", "\xff", strings.Repeat("n", MaxName+1)} {
		if n, err := b.Publish(name, Event{}); n.Receivers != 0 || !errors.Is(err, ErrName) {
			t.Errorf("Publish(%q) = %v, %v, want 0, %v", name, n, err, ErrName)
		}
	}
	if len(b.channels) != 0 || b.seq != 0 {
		t.Errorf("refused names left %d channels and sequence %d", len(b.channels), b.seq)
	}
}

// Ensure that the message does not alias what the publisher hands in.
func TestPublishDoesNotKeepData(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	data := []byte("mine")
	if _, err := b.Publish("/a", Event{Data: data}); err != nil {
		t.Fatal(err)
	}
	copy(data, "XXXX")
	if got := in.Take(nil)[0].Wire; string(got) != "data: mine\n\n" {
		t.Errorf("wire form %q follows the publisher's buffer", got)
	}
}

// Ensure that Attach copies the names that it needs for longer.
func TestAttachDoesNotKeepNames(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	name := []byte("/a")
	in.Attach(nil, name)
	name[1] = 'b'
	mustPublish(t, b, "/a", "x", 1)
}

func TestSubscribersAndChannels(t *testing.T) {
	b := NewBroker(Options{History: 1})
	in := b.NewInbox(func() {})
	mustPublish(t, b, "/kept", "x", 0)
	in.Attach(nil, []byte("/b"), []byte("/a"))
	chans, _ := in.Attach(nil, []byte("/b"))
	for name, want := range map[string]int{"/a": 1, "/b": 2, "/kept": 0, "/none": 0} {
		if got := b.Ports().Subscribers(name); got != want {
			t.Errorf("Subscribers(%q) = %d, want %d", name, got, want)
		}
	}
	if got := b.Ports().Channels(); !slices.Equal(got, []string{"/a", "/b"}) {
		t.Errorf("Channels() = %q, want /a and /b", got)
	}
	in.Detach(chans...)
	if got := b.Ports().Subscribers("/b"); got != 1 {
		t.Errorf("Subscribers(/b) after a detach = %d, want 1", got)
	}
}

func TestEpoch(t *testing.T) {
	one, two := NewBroker(Options{}).opts.Epoch, NewBroker(Options{}).opts.Epoch
	if len(one) != 10 || one == two {
		t.Errorf("epochs %q and %q of two runs, want 10 bytes each and different", one, two)
	}
	for _, r := range one {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", r) {
			t.Errorf("epoch %q has %q, which a header might not carry", one, r)
		}
	}
}

func TestSince(t *testing.T) {
	b := NewBroker(Options{History: 100})
	in := b.NewInbox(func() {})
	chans, start := in.Attach(nil, []byte("/a"), []byte("/b"), []byte("/c"))
	for i := range 10 {
		mustPublish(t, b, []string{"/a", "/b", "/other"}[i%3], "12345", 1-i%3/2)
	}
	wire := len(in.Take(nil)[0].Wire)
	for _, tt := range []struct {
		cursor   uint64
		maxBytes int
		chans    []*Channel
		want     []uint64
	}{
		{start, 1 << 20, chans, []uint64{1, 2, 4, 5, 7, 8, 10}},
		{start, 1 << 20, chans[:1], []uint64{1, 4, 7, 10}},
		{start, 1 << 20, chans[2:], nil},
		{start, 1 << 20, nil, nil},
		{4, 1 << 20, chans, []uint64{5, 7, 8, 10}},
		{10, 1 << 20, chans, nil},
		{11, 1 << 20, chans, nil},
		{start, 1, chans, []uint64{1}},
		{start, wire, chans, []uint64{1}},
		{start, wire + 1, chans, []uint64{1, 2}},
		{start, 2 * wire, chans, []uint64{1, 2}},
	} {
		mark := &Message{}
		got, kept := in.CatchUp([]*Message{mark}, tt.cursor, Told{}, tt.maxBytes, tt.chans...)
		if got[0] != mark || !kept || !slices.Equal(seqs(got[1:]), tt.want) {
			t.Errorf("Since(%d, %d bytes, %d channels) = %v, %v, want %v, true",
				tt.cursor, tt.maxBytes, len(tt.chans), seqs(got[1:]), kept, tt.want)
		}
	}
}

// Ensure that Since takes more channels than it has stack for.
func TestSinceManyChannels(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	var chans []*Channel
	for i := range 100 {
		chans, _ = in.Attach(chans, fmt.Appendf(nil, "/%d", i))
	}
	for i := range 200 {
		mustPublish(t, b, fmt.Sprintf("/%d", 99-i%100), "x", 1)
	}
	msgs, kept := in.CatchUp(nil, 0, Told{}, 1<<20, chans...)
	if len(msgs) != 200 || !kept || !slices.IsSorted(seqs(msgs)) {
		t.Errorf("Since = %v, %v, want 1 to 200, true", seqs(msgs), kept)
	}
}

// Ensure that a reader is told that it was lapped, and when its channel went
// and came back meanwhile too.
func TestSinceLapped(t *testing.T) {
	b := NewBroker(Options{History: 2, MaxKept: 5 * (messageOverhead + channelOverhead + 100)})
	in := b.NewInbox(func() {})
	lapped := func(cursor uint64, c *Channel) bool {
		t.Helper()
		msgs, kept := in.CatchUp(nil, cursor, Told{}, 1, c)
		if !kept && len(msgs) != 0 {
			t.Errorf("Since(%d) = %v, false, want nothing, false", cursor, seqs(msgs))
		}
		b.verify(t)
		return !kept
	}
	mustPublish(t, b, "/a", "x", 0)
	chans, _ := in.Attach(nil, []byte("/a"))
	if lapped(0, chans[0]) {
		t.Error("lapped with everything kept")
	}
	for range 19 {
		mustPublish(t, b, "/a", strings.Repeat("x", 70), 1)
	}
	oldest := chans[0].log.at(0).Seq
	if lapped(oldest-1, chans[0]) || !lapped(oldest-2, chans[0]) {
		t.Errorf("want lapped below cursor %d, and only there", oldest-1)
	}
	in.Detach(chans...)
	if n := chans[0].log.count(); n != 2 {
		t.Errorf("%d messages kept when nobody listens, want 2", n)
	}
	for i := range 20 { // push /a out
		mustPublish(t, b, fmt.Sprintf("/other%d", i), "x", 0)
	}
	if b.channels["/a"] != nil {
		t.Fatal("/a is still there")
	}
	chans, cursor := in.Attach(nil, []byte("/a"))
	if !lapped(19, chans[0]) || lapped(cursor, chans[0]) {
		t.Error("want lapped at a cursor before the channel went, and not at the one of its return")
	}
}

// Ensure that without history what was published to nobody counts as lost.
func TestSinceBeforeAttach(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	mustPublish(t, b, "/a", "x", 0)
	chans, cursor := in.Attach(nil, []byte("/a"))
	if _, kept := in.CatchUp(nil, 0, Told{}, 1, chans...); kept {
		t.Error("Since(0) hides a message that was never kept")
	}
	if _, kept := in.CatchUp(nil, cursor, Told{}, 1, chans...); !kept {
		t.Errorf("Since(%d) is lapped at the cursor of Attach", cursor)
	}
}
