package server

import "millrace/internal/handover"

// What a connection has of TLS and HTTP/2 travels in extras of its record, but for two things
// that have frames of their own behind all records: keys, and the streams of HTTP/2, which may
// be more than a frame takes.

// recordProtocols returns what the successor has to know of a connection with TLS or of
// HTTP/2, beside keys and streams.
func (l *loop) recordProtocols(c *conn) (extras []handover.Extra) {
	add := func(tag handover.Tag, r handover.Record) {
		extras = append(extras, handover.Extra{Tag: tag, Body: handover.Encode(l.server.handing.version, r)})
	}
	if c.flags.is(secure) {
		var r handover.Secured
		if (c.state == stateHead || c.state == stateHTTP2) && l.cfg.CertificateName != nil {
			r.Certificate = l.cfg.CertificateName(c.certificate())
		}
		r.Part = l.parts.m[c.id()]
		if rest := l.rests.of.m[c.id()]; rest != nil {
			r.Rest = &handover.Sealed{Record: rest.record[rest.out:], Content: uint32(rest.content), Deliveries: uint32(rest.deliveries), Fell: int64(rest.fell)}
		}
		if r.Certificate != "" || r.Part != nil || r.Rest != nil {
			add(handover.TagSecured, &r)
		}
	}
	if c.state == stateHTTP2 {
		h := l.h2Of(c)
		r := handover.HTTP2{State: h.Conn.AppendState(nil), Begun: l.begun.m[c.id()], Awaits: uint32(h.awaits), Leaves: uint8(h.leaving), Broken: h.broken}
		add(handover.TagHTTP2, &r)
	}
	return extras
}

// sendShared sends the streams of the connections of HTTP/2 that are handed over.
func (l *loop) sendShared(indexes []int32) error {
	p := handover.NewPacker(l.handed.conn, l.server.handing.version, handover.KindShared)
	var streams []*sharedStream
	for i, id := range l.handed.ids {
		c := l.table.at(id)
		if c.state != stateHTTP2 {
			continue
		}
		h := l.h2Of(c)
		streams = streams[:0]
		for s := range l.streamsOf(h.first) {
			streams = append(streams, s)
		}
		for j := len(streams) - 1; j >= 0; j-- { // each comes before those that are there
			s := streams[j]
			r := handover.SharedStream{Connection: uint32(i), IsNext: h.turn == link(s.self+1), State: s.Stream.AppendState(nil)}
			l.recordStream(&s.stream, &r.Stream, indexes)
			if err := p.Add(&r); err != nil {
				return err
			}
		}
	}
	return p.Flush()
}
