package server

import (
	"slices"

	"millrace/channels"
)

// send writes wire to a stream: lead bytes, and the wire forms of messages, before
// which the stream has everything. It moves the stream's cursor. A stream whose socket
// did not take all is behind.
func (l *loop) send(s *stream, lead int, messages []*channels.Message, wire []byte) result {
	n, did := l.write(l.connOf(s), wire)
	if did == ended {
		return ended
	}
	if len(messages) > 0 {
		l.counters.writes.Add(1)
	}
	if did == sent {
		if len(messages) > 0 {
			l.counters.deliveries.Add(uint64(len(messages)))
			s.cursor = messages[len(messages)-1].Seq
		}
		return sent
	}
	if n < lead {
		l.fallBehind(s, slices.Clone(wire[n:lead]), false)
		return cut
	}
	n -= lead
	var rest []byte
	for _, m := range messages {
		if n == 0 {
			break
		}
		s.cursor = m.Seq
		if n < len(m.Wire) {
			rest = m.Wire[n:]
			break
		}
		n -= len(m.Wire)
		l.counters.deliveries.Add(1)
	}
	l.fallBehind(s, rest, true)
	return cut
}

// sendRest writes to a stream the rest of a message that send has cut.
func (l *loop) sendRest(s *stream, r *slowReader) result {
	if did := l.sendSealed(l.connOf(s), r); did != sent || len(r.rest) == 0 {
		return did
	}
	n, did := l.write(l.connOf(s), r.rest)
	if did == ended {
		return ended
	}
	if r.rest = r.rest[n:]; len(r.rest) == 0 && r.message {
		l.counters.deliveries.Add(1)
	}
	return did
}
