package channels

import (
	"sync/atomic"
	"time"

	"millrace/internal/gzipwire"
)

const (
	// fewGzip is the number of gzip streams of a channel, on all loops, below which its
	// messages are not compressed: that costs more than their bytes.
	fewGzip = 8
	// freshCost is what a fresh dictionary costs each stream that could do without, in
	// messages that go to a stream stored instead of compressed. Measured, with dictionaries
	// that grow from nothing: 0.8 for updates of 600 bytes, 3 for records of 100.
	freshCost = 2
	// quietText is how long a channel is silent before the next message begins a fresh
	// dictionary: its streams have had pings with text meanwhile.
	quietText = 30 * time.Second
)

// text is what the broker has of a channel's text, which is the wire forms of its messages
// one after the other, while gzip streams are on the channel. The dictionary of the next
// message is the newest of that text, MaxDictionary bytes of it, or less where a fresh one
// was begun. It stands nowhere but in the channel's log. Guarded by Broker.mu, but for the
// outsiders.
type text struct {
	streams int           // with gzip
	first   uint32        // ordinal of the first message of the dictionary, or of the next message
	size    int           // from that message on, in bytes
	newest  time.Duration // when the newest message was placed
	since   int           // messages since the one that began a fresh dictionary

	// outsiders counts the messages since then that a stream got stored, because it lacked
	// the dictionary of the compressed form. Safe for concurrent use.
	outsiders atomic.Int64
}

// JoinText counts one gzip stream on c, to which the inbox is attached. The messages that
// are placed from then on have a Form.
func (in *Inbox) JoinText(c *Channel) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.texts[c]
	if t == nil {
		t = &text{first: uint32(c.published) + 1, since: -1, newest: b.clock()}
		if b.texts == nil {
			b.texts = make(map[*Channel]*text)
		}
		b.texts[c], c.texted = t, true
		b.texted.Add(1)
	}
	t.streams++
}

// LeaveText takes back one JoinText, before the stream is detached.
func (in *Inbox) LeaveText(c *Channel) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.texts[c]
	if t.streams--; t.streams > 0 {
		return
	}
	c.texted = false
	delete(b.texts, c)
	b.texted.Add(-1)
	if len(b.texts) == 0 {
		b.texts = nil // with the room of a crowd
	}
}

// formLocked gives m, which is the next message of c and not yet in its log, its place in
// the text of c. alone is the compressed form that its publisher has made, nil for none.
func (b *Broker) formLocked(c *Channel, m *Message, alone []byte) {
	t, ordinal, now := b.texts[c], uint32(c.published), b.clock()
	for t.size >= gzipwire.MaxDictionary {
		size := t.size - len(c.log.at(c.log.count()-int(ordinal-t.first)).Wire)
		if size < gzipwire.MaxDictionary {
			break // the dictionary is the end of that message, and what follows
		}
		t.size = size
		t.first++
	}
	if t.size > 0 && (now-t.newest >= quietText || t.isForFew()) {
		t.begin(ordinal)
		b.fresh++
	}
	t.newest = now
	t.size += len(m.Wire)
	t.since++
	m.Form = &Form{Ordinal: ordinal, Dictionary: t.first, text: t}
	switch {
	case alone != nil:
		m.Form.Dictionary = ordinal
		m.Form.set(alone)
	case t.streams >= fewGzip && len(m.Wire) <= maxByLoops:
		m.Form.state.Store(formWanted)
	}
}

// begin has the message of an ordinal begin a fresh dictionary.
func (t *text) begin(ordinal uint32) {
	t.first, t.size, t.since = ordinal, 0, -1
	t.outsiders.Store(0)
}

// isForFew tells whether the streams that lack the dictionary have cost more than a fresh
// one would cost those that have it.
func (t *text) isForFew() bool {
	if t.since <= 0 {
		return false
	}
	outsiders := int(t.outsiders.Load())
	return outsiders > freshCost*max(t.streams-outsiders/t.since, 0)
}

// evictFormLocked takes m, which c no longer keeps, out of the dictionary.
func (b *Broker) evictFormLocked(c *Channel, m *Message) {
	if t := b.texts[c]; m.Form != nil && m.Form.Ordinal == t.first {
		t.first++
		t.size -= len(m.Wire)
	}
}
