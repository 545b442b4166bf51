package channels

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// inflateAfter returns the text of a compressed form in a stream that has had before.
func inflateAfter(t *rapid.T, form, before []byte) []byte {
	r := flate.NewReaderDict(bytes.NewReader(form), before)
	text, err := io.ReadAll(r)
	if err != io.ErrUnexpectedEOF { // there is no end
		t.Fatal(err)
	}
	return text
}

// Ensure that each compressed form is the message, in a stream that has had the channel's
// text from its dictionary on and nothing else: whichever loop makes it, whenever, and
// whatever is no longer kept.
func TestFormsAgainstModel(t *testing.T) {
	made, none := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		kept := rapid.SampledFrom([]int{20 << 10, 1 << 20}).Draw(t, "max kept")
		b := NewBroker(Options{History: rapid.SampledFrom([]int{0, 5}).Draw(t, "history"), MaxKept: kept, Epoch: "E", MaxEventBytes: 128 << 10})
		now := time.Duration(0)
		b.clock = func() time.Duration { return now }
		inboxes := []*Inbox{b.NewInbox(func() {}), b.NewInbox(func() {})}
		var c *Channel
		for _, in := range inboxes {
			chans, _ := in.Attach(nil, []byte("/a"))
			c = chans[0]
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var messages []*Message // all
		waiting := make([][]*Message, len(inboxes))
		joined := 0
		take := func(i int) {
			fresh := append([]*Message(nil), inboxes[i].Take(nil)...)
			inboxes[i].Served(fresh)
			waiting[i] = append(waiting[i], fresh...)
			if i == 0 {
				messages = append(messages, fresh...)
			}
		}
		publish := func(t *rapid.T) {
			size := rapid.SampledFrom([]int{1, 90, 90, 90, 600, 600, 3000, maxByLoops - 30, maxByLoops, 9000, 70000}).Draw(t, "size")
			data := make([]byte, 0, size)
			for len(data) < size {
				data = fmt.Appendf(data, `{"at":%d,"price":%d}`, random.IntN(1000), random.IntN(10))
			}
			if _, err := b.Publish("/a", Event{Data: data[:size]}); err != nil {
				t.Fatal(err)
			}
			take(0)
			take(1)
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": publish, "publish2": publish, "publish3": publish,
			"join": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, fewGzip}).Draw(t, "streams") {
					inboxes[joined%2].JoinText(c)
					joined++
				}
			},
			"leave": func(t *rapid.T) {
				if joined == 0 {
					t.Skip("nobody")
				}
				joined--
				inboxes[0].LeaveText(c)
			},
			"pass": func(t *rapid.T) { now += time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second },
			"outsiders": func(t *rapid.T) {
				if n := len(messages); n > 0 && messages[n-1].Form != nil {
					messages[n-1].Form.Outside(rapid.IntRange(0, 50).Draw(t, "outsiders"))
				}
			},
			"compress": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "loop")
				left := rapid.IntRange(0, 5).Draw(t, "time")
				if inboxes[i].Compress(waiting[i], func() bool { left--; return left >= 0 }) {
					t.Fatal("a loop waits for itself")
				}
				waiting[i] = nil
			},
		})
		var text []byte
		begins := map[uint32]int{} // by ordinal, in text
		for _, m := range messages {
			if m.Form == nil {
				text, begins = nil, map[uint32]int{}
				continue
			}
			begins[m.Form.Ordinal] = len(text)
			form := m.Form.Compressed()
			if form == nil {
				none++
			} else {
				made++
				begin, ok := begins[m.Form.Dictionary]
				if !ok {
					t.Fatalf("the dictionary of %d begins at %d, where there is no text", m.Form.Ordinal, m.Form.Dictionary)
				}
				if got := inflateAfter(t, form, text[begin:]); !bytes.Equal(got, m.Wire) {
					t.Fatalf("message %d, dictionary from %d on: %.100q, want %.100q", m.Form.Ordinal, m.Form.Dictionary, got, m.Wire)
				}
				if len(form) > m.Form.size(len(m.Wire)) {
					t.Fatalf("message of %d bytes: a form of %d, counted as %d", len(m.Wire), len(form), m.Form.size(len(m.Wire)))
				}
			}
			text = append(text, m.Wire...)
		}
		for ; joined > 0; joined-- {
			inboxes[0].LeaveText(c)
		}
		if len(b.texts) > 0 || b.texted.Load() != 0 || c.texted {
			t.Fatalf("%d texts are left, %d counted", len(b.texts), b.texted.Load())
		}
	})
	if made == 0 || none == 0 {
		t.Errorf("%d forms were made, %d were not: the test has not seen both", made, none)
	}
}

// textOf returns a broker with gzip streams on /a, whose clock is now, and its text.
func textOf(streams int, now *time.Duration) (*Broker, *Inbox, *text) {
	b := NewBroker(Options{Epoch: "E"})
	b.clock = func() time.Duration { return *now }
	in := b.NewInbox(func() {})
	chans, _ := in.Attach(nil, []byte("/a"))
	for range streams {
		in.JoinText(chans[0])
	}
	return b, in, b.texts[chans[0]]
}

// next publishes data and returns its message.
func next(t *testing.T, b *Broker, in *Inbox, data []byte) *Message {
	t.Helper()
	if _, err := b.Publish("/a", Event{Data: data}); err != nil {
		t.Fatal(err)
	}
	messages := in.Take(nil)
	in.Served(messages)
	return messages[0]
}

// Ensure that a dictionary is the newest text, from the message on in which its last bytes
// begin.
func TestDictionarySlides(t *testing.T) {
	var now time.Duration
	b, in, _ := textOf(fewGzip, &now)
	for _, tt := range []struct{ size, dictionary int }{
		{4000, 1}, {4000, 1}, {4000, 1}, {4000, 1}, // 3 x 4,000 bytes before: the first of them is needed
		{4000, 2}, {8192, 3}, {1, 6}, {1, 6}, {40000, 6}, {1, 9}, {1, 9},
	} {
		m := next(t, b, in, bytes.Repeat([]byte("x"), tt.size))
		want := uint32(tt.dictionary)
		if tt.size > maxByLoops { // by its publisher, without a dictionary
			want = m.Form.Ordinal
		}
		if m.Form.Dictionary != want {
			t.Errorf("message %d of %d bytes: dictionary from %d on, want %d", m.Form.Ordinal, tt.size, m.Form.Dictionary, want)
		}
	}
}

// Ensure that a fresh dictionary is begun when those who lack the old one have cost more than
// the others would lose, and not before.
func TestFreshDictionaries(t *testing.T) {
	var now time.Duration
	data := bytes.Repeat([]byte("x"), 50)
	steps := []struct {
		name    string
		do      func(m *Message)
		isFresh bool
	}{
		{"nothing", func(m *Message) {}, false},
		{"some outsiders", func(m *Message) { m.Form.Outside(10) }, false},
		{"almost as many as it costs", func(m *Message) { m.Form.Outside(100) }, false},
		{"more", func(m *Message) { m.Form.Outside(30) }, true},
		{"just begun", func(m *Message) {}, false},
		{"all are outsiders", func(m *Message) { m.Form.Outside(100) }, true},
		{"a pause", func(m *Message) { now += quietText - 1 }, false},
		{"pings with text", func(m *Message) { now += quietText }, true},
	}
	b, in, _ := textOf(100, &now)
	next(t, b, in, data)
	m := next(t, b, in, data)
	for _, step := range steps {
		step.do(m)
		if m = next(t, b, in, data); (m.Form.Dictionary == m.Form.Ordinal) != step.isFresh {
			t.Errorf("after %s: the dictionary of %d begins at %d, fresh: want %v", step.name, m.Form.Ordinal, m.Form.Dictionary, step.isFresh)
		}
	}
	if got := b.Ports().Figures(); got.Texts != 1 || got.Fresh != 3 {
		t.Errorf("figures: %d channels, %d fresh dictionaries, want 1 and 3", got.Texts, got.Fresh)
	}
}

// Ensure that messages are compressed for a crowd only, and small ones by loops only.
func TestWhoCompresses(t *testing.T) {
	text := bytes.Repeat([]byte("row row row your boat "), 400)
	for _, tt := range []struct {
		streams, size int
		has, wanted   bool
	}{
		{fewGzip - 1, 1000, false, false}, {fewGzip - 1, 8000, false, false},
		{fewGzip, 1000, false, true}, {fewGzip, 8000, true, false},
	} {
		var now time.Duration
		b, in, _ := textOf(tt.streams, &now)
		m := next(t, b, in, text[:tt.size])
		if got := m.Form.Compressed() != nil; got != tt.has {
			t.Errorf("%d streams, %d bytes: compressed by the publisher: %v, want %v", tt.streams, tt.size, got, tt.has)
		}
		in.Compress([]*Message{m}, func() bool { return true })
		if got := m.Form.Compressed() != nil; got != (tt.has || tt.wanted) {
			t.Errorf("%d streams, %d bytes: compressed: %v, want %v", tt.streams, tt.size, got, tt.has || tt.wanted)
		}
	}
	b := NewBroker(Options{Epoch: "E"})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	if m := next(t, b, in, text[:8000]); m.Form != nil || b.texts != nil {
		t.Errorf("without gzip streams: form %+v, texts %v, want none", m.Form, b.texts)
	}
}

// Ensure that a message which another loop compresses is waited for, and only that.
func TestAwaitedForms(t *testing.T) {
	var now time.Duration
	b, in, _ := textOf(fewGzip, &now)
	first, second := next(t, b, in, []byte("first")), next(t, b, in, bytes.Repeat([]byte("second"), 20))
	first.Form.state.Store(formClaimed)
	if !in.Compress([]*Message{first, second}, func() bool { return true }) {
		t.Error("a form that another loop makes is not awaited")
	}
	if second.Form.Compressed() == nil {
		t.Error("the next message is not compressed meanwhile")
	}
	first.Form.set(nil)
	if in.Compress([]*Message{first, second}, func() bool { return false }) {
		t.Error("forms that are made are awaited")
	}
}

// BenchmarkCompress is what a loop spends on a message for all of its streams, with the
// dictionary looked up in the channel's log.
func BenchmarkCompress(b *testing.B) {
	for _, size := range []int{100, 600, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var now time.Duration
			broker, in, _ := textOf(fewGzip, &now)
			random := rand.New(rand.NewPCG(1, 2))
			var all []*Message
			for range 200 {
				var data []byte
				for len(data) < size {
					data = fmt.Appendf(data, `<div id="message_%d" class="message">%x</div>`, random.IntN(1e6), random.Uint32())
				}
				if _, err := broker.Publish("/a", Event{Data: data[:size]}); err != nil {
					b.Fatal(err)
				}
				messages := in.Take(nil)
				in.Served(messages)
				all = append(all, messages...)
			}
			out := 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := all[100+i%100]
				m.Form.state.Store(formWanted)
				in.Compress([]*Message{m}, func() bool { return true })
				out += len(m.Form.Compressed())
			}
			b.ReportMetric(float64(out)/float64(b.N), "wire-B")
		})
	}
}
