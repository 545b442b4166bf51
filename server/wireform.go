package server

import (
	"slices"

	"millrace/channels"
	"millrace/internal/gzipwire"
)

// The first step from a message to a socket: which bytes a stream gets of it. Plain streams
// get the wire form of the message itself. Those with the content coding gzip get the stored
// form, which is made when it is sent, or the compressed one, which the message has for all.

// parcel is messages on their way to a stream, in the forms that it gets.
type parcel struct {
	messages []*channels.Message
	wire     []byte   // the forms, one after the other
	forms    [][]byte // gzip: of each message the compressed form, nil where it is stored; plain: nil
	text     int      // gzip: the messages' own wire forms together, in bytes
	stored   int      // gzip: messages that are stored
}

// size returns how much of the wire the i-th message is, in bytes.
func (p *parcel) size(i int) int {
	switch m := p.messages[i]; {
	case p.forms == nil:
		return len(m.Wire)
	case p.forms[i] == nil:
		return gzipwire.StoredSize(len(m.Wire))
	default:
		return len(p.forms[i])
	}
}

// restOf returns what is left of the i-th message when taken bytes of it are gone.
func (p *parcel) restOf(i, taken int) leftover {
	switch m := p.messages[i]; {
	case p.forms == nil:
		return leftover{bytes: m.Wire[taken:]}
	case p.forms[i] == nil:
		return leftover{text: m.Wire, taken: taken}
	default:
		return leftover{bytes: p.forms[i][taken:]}
	}
}

// pack puts together the forms that a stream gets of messages, behind dst. It is for one
// stream; fan-out has the forms of many together in batches.
func (l *loop) pack(dst []byte, s *stream, messages []*channels.Message) parcel {
	if !s.flags.is(gzipped) {
		for _, m := range messages {
			dst = append(dst, m.Wire...)
		}
		return parcel{messages: messages, wire: dst}
	}
	p := parcel{messages: messages, forms: l.forms[:0]}
	since := l.unbroken(s)
	var lacking *channels.Form // one of those whose dictionary the stream lacks
	lacked := 0
	for _, m := range messages {
		form, lacks := since.next(m.Form)
		if p.text += len(m.Wire); form != nil {
			dst = append(dst, form...)
		} else {
			dst = gzipwire.AppendStored(dst, m.Wire, 0)
			p.stored++
		}
		if lacks {
			lacking = m.Form
			lacked++
		}
		p.forms = append(p.forms, form)
	}
	if lacking != nil {
		lacking.Outside(lacked)
	}
	p.wire, l.forms = dst, p.forms
	return p
}

// countForms counts messages that gzip streams got, whose own wire forms are text bytes.
func (l *loop) countForms(stored, compressed, text, bytes int) {
	l.counters.stored.Add(uint64(stored))
	l.counters.compressed.Add(uint64(compressed))
	l.counters.gzipText.Add(uint64(text))
	l.counters.gzipBytes.Add(uint64(bytes))
}

// countForm is countForms for the i-th message of a parcel.
func (l *loop) countForm(p *parcel, i int) {
	stored := 0
	if p.forms[i] == nil {
		stored = 1
	}
	l.countForms(stored, 1-stored, len(p.messages[i].Wire), p.size(i))
}

// sendGroup writes the end of a group's batch to a stream, before which it has everything.
func (l *loop) sendGroup(s *stream, g *group, p parcel) {
	if s.flags.is(gzipped) {
		gzip, ok := g.gzip.end(p.messages, l.unbroken(s))
		if !ok {
			l.sendPacked(s, p.messages)
			return
		}
		p = gzip
	}
	l.send(s, 0, p)
}

// sendPacked writes messages to a stream, before which it has everything.
func (l *loop) sendPacked(s *stream, messages []*channels.Message) result {
	p := l.pack(l.out[:0], s, messages)
	l.out = p.wire
	return l.send(s, 0, p)
}

// leftover is what a socket did not take of bytes that it was given: these, or of the stored form
// of a text, which is shared by all and so is not kept as it was sent.
type leftover struct {
	bytes []byte
	text  []byte // if not nil, the text,
	taken int    // and how much of its stored form is gone
}

// left returns how many bytes it is.
func (r *leftover) left() int {
	if r.text == nil {
		return len(r.bytes)
	}
	return gzipwire.StoredSize(len(r.text)) - r.taken
}

// take takes n bytes off.
func (r *leftover) take(n int) {
	if r.text == nil {
		r.bytes = r.bytes[n:]
	} else if r.taken += n; r.left() == 0 {
		*r = leftover{}
	}
}

// in returns the bytes, which may stand in scratch.
func (r *leftover) in(scratch *[]byte) []byte {
	if r.text == nil {
		return r.bytes
	}
	*scratch = gzipwire.AppendStored((*scratch)[:0], r.text, r.taken)
	return *scratch
}

// leftoverOf returns a leftover of bytes that are nobody else's, as a copy.
func leftoverOf(b []byte) leftover { return leftover{bytes: slices.Clone(b)} }
