package server

import (
	"github.com/valyala/bytebufferpool"

	"millrace/channels"
	"millrace/internal/gzipwire"
)

// gzipBatch is the messages of a batch in the forms that gzip streams get which lack no
// dictionary: compressed where there is a compressed form, else stored.
type gzipBatch struct {
	forms   [][]byte // nil where stored
	ends    []end
	needs   []uint32 // since when, for each message, a stream must be unbroken to have it and all after it so
	isReady bool
	broken  bool // a message without a Form is among them, such as a gap
	buffer  *bytebufferpool.ByteBuffer
}

// end is what the messages of a batch are up to one of them.
type end struct {
	wire, text int // in bytes
	stored     int // messages
}

// encode sets b to messages.
func (b *gzipBatch) encode(messages []*channels.Message) {
	b.isReady, b.buffer = true, bytebufferpool.Get()
	var sum end
	for _, m := range messages {
		var form []byte
		if m.Form == nil {
			b.broken = true
		} else {
			form = m.Form.Compressed()
		}
		if form != nil {
			b.buffer.B = append(b.buffer.B, form...)
		} else {
			b.buffer.B = gzipwire.AppendStored(b.buffer.B, m.Wire, 0)
			sum.stored++
		}
		sum.wire = len(b.buffer.B)
		sum.text += len(m.Wire)
		b.forms, b.ends = append(b.forms, form), append(b.ends, sum)
	}
	if !b.broken {
		b.setNeeds(messages)
	}
}

// setNeeds sets needs, from the last message to the first.
func (b *gzipBatch) setNeeds(messages []*channels.Message) {
	for range messages {
		b.needs = append(b.needs, 0)
	}
	var need uint32
	for i := len(messages) - 1; i >= 0; i-- {
		f, own := messages[i].Form, messages[i].Form.Ordinal
		if b.forms[i] != nil {
			own = f.Dictionary
		}
		if i == len(messages)-1 || int32(own-need) < 0 {
			need = own
		}
		b.needs[i] = need
	}
}

// end returns the last of the messages for a stream that has had the text since then with
// nothing between, or false if it has to get some of them otherwise.
func (b *gzipBatch) end(messages []*channels.Message, since *unbroken) (_ parcel, ok bool) {
	i := len(b.forms) - len(messages)
	if b.broken {
		return parcel{}, false
	}
	u := *since
	if u == 0 {
		u = unbroken(messages[0].Form.Ordinal)
	}
	if !u.covers(b.needs[i]) {
		return parcel{}, false
	}
	*since = u
	var before end
	if i > 0 {
		before = b.ends[i-1]
	}
	sum := b.ends[len(b.ends)-1]
	return parcel{
		messages: messages, wire: b.buffer.B[before.wire:], forms: b.forms[i:],
		text: sum.text - before.text, stored: sum.stored - before.stored,
	}, true
}

// release empties b and keeps its slices.
func (b *gzipBatch) release() {
	if b.buffer != nil {
		bytebufferpool.Put(b.buffer)
	}
	clear(b.forms)
	*b = gzipBatch{forms: b.forms[:0], ends: b.ends[:0], needs: b.needs[:0]}
}
