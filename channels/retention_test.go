package channels

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// Ensure that a channel keeps a backlog for those who listen, that it is
// bounded, and that it goes when they go.
func TestBacklog(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	chans, _ := in.Attach(nil, []byte("/a"))
	event := Event{Data: bytes.Repeat([]byte("x"), largestData)}
	for range 3 * backlogBytes / DefaultMaxEventBytes {
		if n, err := b.Publish("/a", event); n.Receivers != 1 || err != nil {
			t.Fatalf("Publish = %v, %v", n, err)
		}
		in.Served(in.Take(nil))
	}
	b.verify(t)
	if size := b.kept.size; size > backlogBytes || size < backlogBytes-2*DefaultMaxEventBytes {
		t.Errorf("a backlog of %d bytes, want just below %d", size, backlogBytes)
	}
	in.Detach(chans...)
	b.verify(t)
	if b.kept.size != 0 || len(b.channels) != 0 {
		t.Errorf("%d bytes and %d channels kept for nobody", b.kept.size, len(b.channels))
	}
}

// Ensure that messages kept for readers that are behind go before the history of
// channels that are quiet.
func TestBacklogGoesBeforeHistory(t *testing.T) {
	const busy, quiet = 7, 100
	b := NewBroker(Options{History: 8, MaxKept: 1 << 20})
	in := b.NewInbox(func() {})
	for i := range quiet {
		mustPublish(t, b, fmt.Sprintf("/quiet/%d", i), "x", 0)
	}
	for i := range busy {
		in.Attach(nil, fmt.Appendf(nil, "/busy/%d", i))
	}
	event := Event{Data: bytes.Repeat([]byte("x"), 1000)}
	for i := range 10_000 {
		if _, err := b.Publish(fmt.Sprintf("/busy/%d", i%busy), event); err != nil {
			t.Fatal(err)
		}
		in.Served(in.Take(nil))
	}
	b.verify(t)
	if got := len(b.channels); got != quiet+busy {
		t.Errorf("%d channels have their history, want %d", got, quiet+busy)
	}
	for i := range busy {
		if c := b.channels[fmt.Sprintf("/busy/%d", i)]; c.log.count() < 100 {
			t.Errorf("%s keeps %d messages, want an equal part of what is free", c.name, c.log.count())
		}
	}
}

// Ensure that every call that makes a great many messages go lets others have the broker in
// between, and that all go in the end.
func TestDropsInSlices(t *testing.T) {
	const n = 20 * sliceOfWork
	for _, tt := range []struct {
		what string
		opts Options
		drop func(b *Broker, in *Inbox)
	}{
		{"the last stream of a channel leaves", Options{}, func(b *Broker, in *Inbox) {
			in.Detach(b.channels["/a"])
		}},
		{"all messages are too old", Options{History: n, HistoryTTL: 1}, func(b *Broker, in *Inbox) {}},
		{"a large event", Options{History: n, MaxEventBytes: 8 << 20, MaxKept: 8<<20 + 10_000}, func(b *Broker, in *Inbox) {
			if _, err := b.Feed().Deliver("/b", Event{Data: make([]byte, 8<<20-100)}); err != nil {
				t.Error(err)
			}
			if b.kept.size > b.opts.MaxKept {
				t.Errorf("%d bytes kept after Deliver, want at most %d", b.kept.size, b.opts.MaxKept)
			}
		}},
	} {
		b := NewBroker(tt.opts)
		in := b.NewInbox(func() {})
		now := time.Duration(0)
		b.clock = func() time.Duration { return now }
		in.Attach(nil, []byte("/a"))
		for range n {
			mustPublish(t, b, "/a", "x", 1)
			in.Served(in.Take(nil))
		}
		now = 1
		c := b.channels["/a"]
		most, before := 0, c.log.count()
		b.mu.observe = func() {
			most, before = max(most, before-c.log.count()), c.log.count()
		}
		tt.drop(b, in)
		b.sweep()
		b.mu.observe = nil
		b.verify(t)
		if most > 2*sliceOfWork {
			t.Errorf("%s: %d messages go at a time, want at most %d", tt.what, most, 2*sliceOfWork)
		}
		if left := c.log.count(); left > 100 {
			t.Errorf("%s: %d messages are left", tt.what, left)
		}
	}
}

// Ensure that an event above all bounds on what is kept is delivered still.
func TestPublishLargerThanMaxKept(t *testing.T) {
	b := NewBroker(Options{MaxKept: 50, History: 5})
	in := b.NewInbox(func() {})
	mustPublish(t, b, "/a", "x", 0)
	if len(b.channels) != 0 {
		t.Errorf("%d channels are left of a message that cannot be kept", len(b.channels))
	}
	chans, cursor := in.Attach(nil, []byte("/a"))
	mustPublish(t, b, "/a", "y", 1)
	b.verify(t)
	if msgs := in.Take(nil); len(msgs) != 1 || msgs[0].Evicted != msgs[0].Seq {
		t.Errorf("took %d messages, want the one that was not kept, marked so", len(msgs))
	}
	if _, kept := in.CatchUp(nil, cursor, Told{}, 1, chans...); kept {
		t.Error("Since hides a message that could not be kept")
	}
}

// Ensure that MaxKept is reached, and not passed.
func TestMaxKept(t *testing.T) {
	const message = messageOverhead + len("data: x\nid: E-1\n\n")
	const channel = channelOverhead + len("/a")
	for _, tt := range []struct{ maxKept, want int }{
		{message + channel - 1, 0},
		{message + channel, 1},
		{2*message + channel - 1, 1},
		{2*message + channel, 2},
	} {
		b := NewBroker(Options{History: 9, MaxKept: tt.maxKept, Epoch: "E"})
		mustPublish(t, b, "/a", "x", 0)
		mustPublish(t, b, "/a", "x", 0)
		b.verify(t)
		n := 0
		if c := b.channels["/a"]; c != nil {
			n = c.log.count()
		}
		if n != tt.want {
			t.Errorf("MaxKept %d keeps %d messages, want %d", tt.maxKept, n, tt.want)
		}
	}
}

// Ensure that the bytes counted against MaxKept are about those of the heap,
// whatever is kept.
func TestKeptIsWhatItCosts(t *testing.T) {
	const messages = 50000
	for _, tt := range []struct{ channels, name, data int }{
		{1, 10, 13}, {1, 10, 2000}, {messages, 10, 13}, {messages, 200, 13}, {messages, 20, 200}, {messages / 5, 20, 13},
	} {
		before := heapInUse()
		b := NewBroker(Options{History: messages, MaxKept: 1 << 30})
		event := Event{Data: bytes.Repeat([]byte("x"), tt.data)}
		for i := range messages {
			if _, err := b.Publish(fmt.Sprintf("/%0*d", tt.name-1, i%tt.channels), event); err != nil {
				t.Fatal(err)
			}
		}
		heap := heapInUse() - before
		if ratio := float64(heap) / float64(b.kept.size); ratio < 0.7 || ratio > 1.3 {
			t.Errorf("%d messages of %d bytes on %d channels take %d bytes of heap, counted as %d, want these within 30%%",
				messages, tt.data, tt.channels, heap, b.kept.size)
		}
	}
}

func heapInUse() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
