package server

import (
	"errors"
	"fmt"
	"time"

	"millrace/internal/h2"
	"millrace/internal/handover"
)

var (
	errKeys    = errors.New("keys have come for a connection that has some or cannot have any, or none for one that needs them")
	errStreams = errors.New("of a connection of HTTP/2 other streams have come than it has")
)

// restoreProtocols takes in what a connection has of TLS and HTTP/2, beside keys and streams:
// these are to come.
func (l *loop) restoreProtocols(c *conn, r *handover.Connection) error {
	if c.state == stateHTTP2 { // in any case, since it may have to end
		c.channel = l.conns.claim()
		*l.h2Of(c) = h2Conn{}
		l.counters.http2.Add(1)
	}
	if !c.flags.is(secure) && len(r.Extras) == 0 { // as most have it: what follows is on the heap
		return nil
	}
	version := l.cfg.Successor.Version
	var secured handover.Secured
	var http2 handover.HTTP2
	for _, e := range r.Extras {
		var err error
		switch {
		case e.Tag == handover.TagSecured:
			err = handover.Decode(version, e.Body, &secured)
		case e.Tag == handover.TagHTTP2:
			err = handover.Decode(version, e.Body, &http2)
		case e.Tag < handover.Optional:
			err = fmt.Errorf("%w %#02x of a connection", handover.ErrExtra, uint8(e.Tag))
		}
		if err != nil {
			return err
		}
	}
	if c.flags.is(secure) {
		l.restoreSecured(c, &secured)
	}
	if c.state == stateHTTP2 {
		return l.restoreHTTP2(c, &http2, r.Behind)
	}
	return nil
}

// restoreSecured takes in what a connection with TLS has beside its keys.
func (l *loop) restoreSecured(c *conn, r *handover.Secured) {
	if c.state == stateHead || c.state == stateHTTP2 {
		if c.place = 0; l.cfg.CertificateOf != nil {
			c.place = l.cfg.CertificateOf(r.Certificate)
		}
	}
	if len(r.Part) > 0 {
		l.parts.set(c.id(), keep(nil, r.Part))
	}
	if s := r.Rest; s != nil {
		rest := &sealedRest{record: keep(nil, s.Record), content: int(s.Content), deliveries: int(s.Deliveries), fell: time.Duration(s.Fell)}
		l.rests.add(c.id(), rest)
		l.countSealed(cap(rest.record))
	}
}

// restoreHTTP2 takes in a connection of HTTP/2 without its streams, and how far behind it is.
func (l *loop) restoreHTTP2(c *conn, r *handover.HTTP2, b *handover.Behind) error {
	h := l.h2Of(c)
	h.awaits, h.leaving, h.broken = moment(r.Awaits), l.reasonAt(r.Leaves), r.Broken
	if len(r.Begun) > 0 {
		l.begun.set(c.id(), keep(nil, r.Begun))
	}
	if b != nil {
		l.restoreReader(&c.stream, b)
	}
	return h.Conn.Restore(r.State)
}

// takeKeys takes in a frame of keys, and clears it.
func (l *loop) takeKeys(payload []byte) error {
	defer clear(payload)
	r := handover.NewReader(l.cfg.Successor.Version, payload)
	for r.Len() > 0 {
		var k handover.Keys
		if k.Parse(r); r.Err() != nil {
			break
		}
		c, err := l.adopted(k.Connection)
		if err != nil {
			return err
		}
		if !c.flags.is(secure) || l.hasKeys(c) {
			return errKeys
		}
		state, err := l.keys.claim(c.id())
		if err == nil {
			err = state.Restore(k.State)
		}
		if err != nil {
			return err
		}
		l.counters.secure.Add(1)
	}
	return r.Err()
}

// takeShared takes in a frame of streams of HTTP/2.
func (l *loop) takeShared(payload []byte) error {
	payload, err := l.adopting.long.Records(payload)
	if err != nil {
		return err
	}
	r := handover.NewReader(l.cfg.Successor.Version, payload)
	for r.Len() > 0 {
		var shared handover.SharedStream
		if shared.Parse(r); r.Err() != nil {
			break
		}
		c, err := l.adopted(shared.Connection)
		if err == nil {
			err = l.restoreShared(c, &shared)
		}
		if err != nil {
			return err
		}
	}
	return r.Err()
}

// restoreShared takes in a stream of HTTP/2, the first of its connection's from then on.
func (l *loop) restoreShared(c *conn, r *handover.SharedStream) error {
	if c.state != stateHTTP2 {
		return errStreams
	}
	h := l.h2Of(c)
	var opened h2.Stream
	if err := h.RestoreStream(&opened, r.State); err != nil {
		return err
	}
	s := l.openShared(c, opened)
	if r.IsNext {
		h.turn = h.first
	}
	id := s.self
	*s = l.streamOf(&r.Stream)
	s.self = id
	return l.restoreStream(s, &r.Stream)
}

// adopted returns the connection whose record came in a place.
func (l *loop) adopted(place uint32) (*conn, error) {
	if int(place) >= len(l.adopting.ids) {
		return nil, fmt.Errorf("something of connection %d of %d", place, len(l.adopting.ids))
	}
	return l.table.at(l.adopting.ids[place]), nil
}

// checkProtocols tells whether all has come that connections have of TLS and HTTP/2.
func (l *loop) checkProtocols() error {
	for _, id := range l.adopting.ids {
		c := l.table.at(id)
		if c.flags.is(secure) && c.state >= stateHead && c.state != stateLinger && !l.hasKeys(c) {
			return errKeys
		}
		if c.state != stateHTTP2 {
			continue
		}
		n, h := 0, l.h2Of(c)
		for range l.streamsOf(h.first) {
			n++
		}
		if n != h.Streams() {
			return errStreams
		}
	}
	return nil
}
