package server

import (
	"sort"

	"github.com/valyala/bytebufferpool"

	"millrace/channels"
)

// batch is messages of one channel, in order, encoded as one piece.
type batch struct {
	messages []*channels.Message
	wire     []byte
	// ends[i] is where messages[i] ends in wire. Unused for a message alone.
	ends []int
	// buffer backs wire; nil for a message alone, whose own bytes serve.
	buffer *bytebufferpool.ByteBuffer
	gzip   gzipBatch // the same for gzip streams, once that is ready
}

// encode sets wire.
func (b *batch) encode() {
	switch len(b.messages) {
	case 0:
		return
	case 1:
		b.wire = b.messages[0].Wire
		return
	}
	b.buffer = bytebufferpool.Get()
	for _, m := range b.messages {
		b.buffer.B = append(b.buffer.B, m.Wire...)
		b.ends = append(b.ends, len(b.buffer.B))
	}
	b.wire = b.buffer.B
}

// after returns the part of the batch that is newer than cursor.
func (b *batch) after(cursor uint64) ([]*channels.Message, []byte) {
	if len(b.messages) == 0 {
		return nil, nil
	}
	if cursor < b.messages[0].Seq {
		return b.messages, b.wire
	}
	i := sort.Search(len(b.messages), func(i int) bool { return b.messages[i].Seq > cursor })
	if i == len(b.messages) {
		return nil, nil
	}
	return b.messages[i:], b.wire[b.ends[i-1]:]
}

// release empties the batch and keeps its slices.
func (b *batch) release() {
	if b.buffer != nil {
		bytebufferpool.Put(b.buffer)
	}
	clear(b.messages)
	b.messages, b.ends = b.messages[:0], b.ends[:0]
	b.wire, b.buffer = nil, nil
	b.gzip.release()
}
