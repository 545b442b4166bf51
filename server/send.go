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
			l.counters.deliveries.Add(uint64(len(p.messages)))
			s.cursor = p.messages[len(p.messages)-1].Seq
		}
		return sent
	}
	if n < lead {
		l.fallBehind(s, leftoverOf(p.wire[n:lead]), false)
		return cut
	}
	n -= lead
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
		n -= size
		l.counters.deliveries.Add(1)
	}
	l.fallBehind(s, left, true)
	return cut
}

// sendRest writes to a stream the rest of a message that send has cut.
func (l *loop) sendRest(s *stream, r *slowReader) result {
	if did := l.sendSealed(l.connOf(s), r); did != sent || r.rest.left() == 0 {
		return did
	}
	n, did := l.put(s, r.rest.in(&l.out))
	if did == ended {
		return ended
	}
	if r.rest.take(n); r.rest.left() == 0 && r.message {
		l.counters.deliveries.Add(1)
	}
	return did
}
