package channels

import (
	"sync"
	"sync/atomic"

	"millrace/internal/gzipwire"
)

// maxByLoops is the largest message that loops compress, in bytes of its wire form. A larger
// one is compressed by its publisher, without a dictionary.
const maxByLoops = 4 << 10

// Form is a message's place in the text of its channel, and its compressed wire form once
// that is made: by the first loop that needs it, for all. Safe for concurrent use.
type Form struct {
	// Ordinal counts the messages of a channel, round and round.
	Ordinal uint32
	// Dictionary is the ordinal of the message at which the dictionary of the compressed
	// form begins: a stream can have that form if it has had the channel's text from there
	// on, with nothing between.
	Dictionary uint32

	text       *text
	state      atomic.Uint32
	compressed []byte // written before the state becomes formMade; nil if it is no shorter
}

// States of a Form.
const (
	formNone    = iota // it has no compressed form
	formWanted         // it is to have one
	formClaimed        // a loop is making it
	formMade
)

// formOverhead is the memory of a Form beside the compressed form, in bytes, with the blocks
// of an id that is stored.
const formOverhead = 64

// Compressed returns the compressed form, nil while there is none.
func (f *Form) Compressed() []byte {
	if f.state.Load() != formMade {
		return nil
	}
	return f.compressed
}

// Outside counts messages of the same channel that a stream got stored, though they were
// compressed, since it lacked their dictionaries.
func (f *Form) Outside(messages int) { f.text.outsiders.Add(int64(messages)) }

func (f *Form) set(compressed []byte) {
	f.compressed = compressed
	f.state.Store(formMade)
}

// size is the memory that the form of a message of n bytes may take, in bytes. It is the
// same before and after the form is made.
func (f *Form) size(n int) int {
	switch {
	case f == nil:
		return 0
	case f.state.Load() == formNone:
		return formOverhead
	}
	return formOverhead + n
}

// Compress makes the compressed forms that messages are to have, which are of one channel
// and in order, while there is time. It returns true if others are making some of them.
// Loop-owned.
func (in *Inbox) Compress(messages []*Message, hasTime func() bool) (awaited bool) {
	w := &in.window
	w.isEmpty = true
	for _, m := range messages {
		if m.Form == nil {
			continue
		}
		state := &m.Form.state
		switch s := state.Load(); {
		case s == formWanted && hasTime() && state.CompareAndSwap(formWanted, formClaimed):
			m.Form.set(in.compress(m))
			w.add(m)
		default:
			awaited = awaited || s != formNone && state.Load() == formClaimed
			if !w.isEmpty {
				w.add(m)
			}
		}
	}
	return awaited
}

// compress returns the compressed form of m, nil for none.
func (in *Inbox) compress(m *Message) []byte {
	w := &in.window
	dictionary, ok := w.dictionary(m.Form)
	if !ok {
		if !in.broker.fillWindow(w, m) {
			return nil
		}
		dictionary, _ = w.dictionary(m.Form)
	}
	w.out, ok = w.compressor.Append(w.out[:0], m.Wire, dictionary)
	if !ok {
		return nil
	}
	return append([]byte(nil), w.out...)
}

// window is text of a channel as one piece, in which a loop finds dictionaries. Loop-owned.
type window struct {
	isEmpty    bool
	first      uint32 // ordinal of the first message in it
	text       []byte
	ends       []int // of its messages, in text
	compressor gzipwire.Compressor
	out        []byte
}

// maxWindow is how much memory of text a window keeps from one use to the next, in bytes.
const maxWindow = 256 << 10

// dictionary returns that of a form, false if it is not all there.
func (w *window) dictionary(f *Form) (dictionary []byte, ok bool) {
	if f.Dictionary == f.Ordinal {
		return nil, true
	}
	if w.isEmpty || f.Ordinal != w.next() || int32(f.Dictionary-w.first) < 0 {
		return nil, false
	}
	begin := 0
	if i := f.Dictionary - w.first; i > 0 {
		begin = w.ends[i-1]
	}
	return w.text[begin:], true
}

// next returns the ordinal of the message that follows.
func (w *window) next() uint32 { return w.first + uint32(len(w.ends)) }

// add adds a message: to what there is if that ends just before it.
func (w *window) add(m *Message) {
	if w.isEmpty || m.Form.Ordinal != w.next() {
		w.begin(m.Form.Ordinal)
	}
	w.append(m.Wire)
}

// begin empties w, and has it begin with an ordinal.
func (w *window) begin(first uint32) {
	if cap(w.text) > maxWindow {
		w.text, w.ends = nil, nil
	}
	w.isEmpty, w.first, w.text, w.ends = false, first, w.text[:0], w.ends[:0]
}

func (w *window) append(text []byte) {
	w.text = append(w.text, text...)
	w.ends = append(w.ends, len(w.text))
}

// fillWindow sets w to the dictionary of m, the end of it that counts. It returns false if
// some of it is no longer kept.
func (b *Broker) fillWindow(w *window, m *Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	log, n := m.Channel.log, int(m.Form.Ordinal-m.Form.Dictionary)
	end := log.after(m.Seq - 1)
	if end < n {
		return false
	}
	skip := -gzipwire.MaxDictionary
	for i := end - n; i < end; i++ {
		if f := log.at(i).Form; f == nil || f.Ordinal != m.Form.Ordinal-uint32(end-i) {
			return false
		}
		skip += len(log.at(i).Wire)
	}
	w.begin(m.Form.Dictionary)
	for i := end - n; i < end; i++ {
		wire := log.at(i).Wire
		w.append(wire[min(max(skip, 0), len(wire)):])
		skip -= len(wire)
	}
	return true
}

// compressors are those of publishers.
var compressors = sync.Pool{New: func() any { return new(gzipwire.Compressor) }}

// compressAlone sets the compressed form of an arrival that loops do not compress, without
// the id and the blank line, if the streams of its channel are to have one.
func (b *Broker) compressAlone(a *Arrival) {
	if len(a.wire) <= maxByLoops || b.texted.Load() == 0 || a.alone != nil {
		return
	}
	b.mu.Lock()
	t := b.texts[b.channels[a.channel]]
	isFor := t != nil && t.streams >= fewGzip
	b.mu.Unlock()
	if !isFor {
		return
	}
	c := compressors.Get().(*gzipwire.Compressor)
	a.alone, _ = c.Append(nil, a.wire, nil)
	compressors.Put(c)
}

// completeAlone returns the compressed form of m, whose fields were compressed before they
// had an id and a blank line, which are stored; nil for none.
func completeAlone(fields []byte, m *Message, n int) []byte {
	if fields == nil {
		return nil
	}
	return gzipwire.AppendStored(fields, m.Wire[n:], 0)
}
