package server

// send writes the wire of a parcel to a stream: lead bytes, and messages, before which the
// stream has everything. It moves the stream's cursor. A stream whose socket or window did not
// take all is behind.
func (l *loop) send(s *stream, lead int, p parcel) result {
	n, did := l.put(s, p.wire)
	if did == ended {
		return ended
	}
	switch {
	case len(p.messages) == 0:
	case s.isShared(): // counted by sendFrames
		l.carries = true
	default:
		l.counters.writes.Add(1)
	}
	if did == sent {
		if p.forms != nil {
			l.countForms(p.stored, len(p.messages)-p.stored, p.text, len(p.wire)-lead)
		}
		if len(p.messages) > 0 {
			l.written(s, len(p.messages))
			s.cursor = p.messages[len(p.messages)-1].Seq
		}
		return sent
	}
	if n < lead {
		l.fallBehind(s, leftoverOf(p.wire[n:lead]), false)
		return cut
	}
	n -= lead
	out := n - l.heldBack(s) // which are in no record that was cut
	var left leftover
	for i, m := range p.messages {
		if n == 0 {
			break
		}
		s.cursor = m.Seq
		size := p.size(i)
		if p.forms != nil {
			l.countForm(&p, i)
		}
		if n < size {
			left = p.restOf(i, n)
			break
		}
		n, out = n-size, out-size
		switch {
		case s.isShared():
			l.gathered++
		case out >= 0:
			l.counters.deliveries.Add(1)
		default:
			l.rests.of.m[s.id()].deliveries++
		}
	}
	l.fallBehind(s, left, true)
	return cut
}

// sendRest writes to a stream the rest of a message that send has cut.
func (l *loop) sendRest(s *stream, r *slowReader) result {
	if !s.isShared() {
		if did := l.sendSealed(l.connOf(s)); did != sent {
			return did
		}
	}
	if r.rest.left() == 0 {
		return sent
	}
	n, did := l.put(s, r.rest.in(&l.out))
	if did == ended {
		return ended
	}
	if r.rest.take(n); r.rest.left() == 0 {
		l.written(s, r.messages)
		r.messages = 0
	}
	return did
}

// written counts messages whose last byte has been written to a stream, of HTTP/2 as frames
// that have gathered.
func (l *loop) written(s *stream, messages int) {
	if s.isShared() {
		l.gathered += messages
	} else {
		l.delivered(l.connOf(s), messages)
	}
}

// delivered counts messages whose last byte has been written to a connection: when the socket
// has taken it, with TLS and all of its record.
func (l *loop) delivered(c *conn, messages int) {
	if c.flags.is(behind) && l.hasRest(c) {
		l.rests.of.m[c.id()].deliveries += messages
	} else {
		l.counters.deliveries.Add(uint64(messages))
	}
}

// heldBack returns how many bytes of what was written last are in a record of which the socket
// took a part only.
func (l *loop) heldBack(s *stream) int {
	if s.isShared() || !l.hasRest(l.connOf(s)) { // of shared ones, sendFrames counts
		return 0
	}
	return l.rests.of.m[s.id()].content
}
