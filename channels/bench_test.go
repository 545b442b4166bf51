package channels

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"millrace/internal/testenv"
)

var benchEvent = Event{Data: []byte(`{"foo":"bar"}`)}

// drain stands in for a loop that serves whatever it is woken for. It returns
// the loop's inbox, and a function that ends it.
func drain(b *Broker) (*Inbox, func()) {
	woken := make(chan struct{}, 1)
	in := b.NewInbox(func() { woken <- struct{}{} }) // does not block: one wake a Take
	var wg sync.WaitGroup
	wg.Go(func() {
		var msgs []*Message
		for range woken {
			msgs = in.Take(msgs)
			in.Served(msgs)
		}
	})
	return in, func() { close(woken); wg.Wait() }
}

// BenchmarkPublish is one publisher with nobody beside: the inboxes are emptied
// in between.
func BenchmarkPublish(b *testing.B) {
	for _, loops := range []int{0, 1, 8} {
		b.Run(fmt.Sprintf("loops=%d", loops), func(b *testing.B) {
			b.ReportAllocs()
			broker := NewBroker(Options{})
			inboxes := make([]*Inbox, loops)
			for i := range inboxes {
				inboxes[i] = broker.NewInbox(func() {})
				inboxes[i].Attach(nil, []byte("/sse/test"))
			}
			var msgs []*Message
			n := 0
			for b.Loop() {
				if _, err := broker.Publish("/sse/test", benchEvent); err != nil {
					b.Fatal(err)
				}
				if n++; n%1000 == 0 {
					for _, in := range inboxes {
						msgs = in.Take(msgs)
						in.Served(msgs)
					}
				}
			}
		})
	}
}

// BenchmarkPublishParallel is many publishers and one loop that drains.
func BenchmarkPublishParallel(b *testing.B) {
	b.ReportAllocs()
	broker := NewBroker(Options{})
	in, stop := drain(broker)
	in.Attach(nil, []byte("/sse/test"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := broker.Publish("/sse/test", benchEvent); err != nil {
				b.Error(err)
				return
			}
		}
	})
	stop()
}

// BenchmarkPipeline is 1000 publishes and the Take of them all.
func BenchmarkPipeline(b *testing.B) {
	b.ReportAllocs()
	broker := NewBroker(Options{})
	in := broker.NewInbox(func() {})
	in.Attach(nil, []byte("/sse/test"))
	var msgs []*Message
	for b.Loop() {
		for range 1000 {
			if _, err := broker.Publish("/sse/test", benchEvent); err != nil {
				b.Fatal(err)
			}
		}
		if msgs = in.Take(msgs); len(msgs) != 1000 {
			b.Fatalf("took %d messages, want 1000", len(msgs))
		}
		in.Served(msgs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/message")
}

func BenchmarkAttachDetach(b *testing.B) {
	for _, others := range []int{0, 1} { // with 0, the channel comes and goes too
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			b.ReportAllocs()
			broker := NewBroker(Options{})
			in := broker.NewInbox(func() {})
			name := []byte("/sse/test")
			for range others {
				in.Attach(nil, name)
			}
			var chans []*Channel
			for b.Loop() {
				chans, _ = in.Attach(chans[:0], name)
				in.Detach(chans...)
			}
		})
	}
}

// BenchmarkSince is the step of a reader that is far behind on 64 channels.
func BenchmarkSince(b *testing.B) {
	b.ReportAllocs()
	broker := NewBroker(Options{})
	in := broker.NewInbox(func() {})
	var chans []*Channel
	for i := range 64 {
		chans, _ = in.Attach(chans, fmt.Appendf(nil, "/%d", i))
	}
	for i := range 64 * 1000 {
		if _, err := broker.Publish(chans[i%64].name, benchEvent); err != nil {
			b.Fatal(err)
		}
		in.Served(in.Take(nil))
	}
	var msgs []*Message
	for b.Loop() {
		msgs, _ = in.CatchUp(msgs[:0], 1000, Told{}, 128<<10, chans...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(msgs)), "ns/message")
}

// BenchmarkEncode is the check and the wire form of one event.
func BenchmarkEncode(b *testing.B) {
	for _, bb := range []struct {
		name string
		data []byte
	}{
		{"200 B", bytes.Repeat([]byte("x"), 200)},
		{"60 KB", bytes.Repeat([]byte("x"), largestData)},
		{"100 lines", bytes.Repeat([]byte("forty bytes and a line feed at their end\n"), 100)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.data)))
			ev := Event{Data: bb.data}
			wire := make([]byte, 0, ev.fieldsSize())
			for b.Loop() {
				if err := ev.check(DefaultMaxEventBytes, largestTail, true); err != nil {
					b.Fatal(err)
				}
				if err := ev.checkWire(len(ev.Data), DefaultMaxEventBytes, largestTail); err != nil {
					b.Fatal(err)
				}
				wire = ev.appendFields(wire[:0])
			}
		})
	}
}

// TestAllocations holds that a publish allocates the message and its wire form,
// whatever the number of loops, and that the rest of the hot path allocates
// nothing.
func TestAllocations(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	b := NewBroker(Options{History: 100})
	const name = "/a/name/that/no/conversion/keeps/on/the/stack/in/passing"
	var inboxes []*Inbox
	var chans []*Channel
	for range 8 {
		in := b.NewInbox(func() {})
		chans, _ = in.Attach(chans[:0], []byte(name))
		inboxes = append(inboxes, in)
	}
	spare := make([][]*Message, len(inboxes))
	publish := func() {
		if _, err := b.Publish(name, benchEvent); err != nil {
			t.Fatal(err)
		}
		for i, in := range inboxes {
			spare[i] = in.Take(spare[i])
			in.Served(spare[i])
		}
	}
	for range backlogBytes / messageOverhead { // to where the log holds its size
		publish()
	}
	if n := testing.AllocsPerRun(1000, publish); n > 2 {
		t.Errorf("Publish to 8 loops allocates %v times, want 2", n)
	}
	raw := []byte(name)
	attach := func() {
		chans, _ = inboxes[0].Attach(chans[:0], raw)
		inboxes[0].Detach(chans...)
	}
	if n := testing.AllocsPerRun(1000, attach); n != 0 {
		t.Errorf("Attach and Detach allocate %v times, want 0", n)
	}
	var msgs []*Message
	since := func() { msgs, _ = inboxes[0].CatchUp(msgs[:0], b.seq-100, Told{}, 1<<20, chans...) }
	if n := testing.AllocsPerRun(1000, since); n != 0 {
		t.Errorf("Since of %d messages allocates %v times, want 0", len(msgs), n)
	}
}
