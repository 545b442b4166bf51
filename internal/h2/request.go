package h2

// onHeaders takes in a header block: a request, or the trailers of one (RFC 9113, 8.1).
func (r *Reader) onHeaders(c *Conn, t *Table, s Streams, f *frame) (Event, error) {
	id, known := f.stream, f.stream <= c.newest
	stream := s.Stream(id)
	switch {
	case id&1 == 0:
		return Event{}, &Error{ProtocolError, "a HEADERS of a stream that no client may open"}
	case known && !c.expects(id, stream) && (stream != nil || id == c.newest):
		return Event{}, &Error{StreamClosed, "a HEADERS of a stream that its client has ended"}
	case known && !c.expects(id, stream):
		return Event{}, &Error{ProtocolError, "a HEADERS of a lower stream than the one before"}
	}
	if err := c.budget.spend(costFrame * f.more); err != nil {
		return Event{}, err
	}
	r.fields.begin(known)
	if err := r.decode(c, t, f.payload); err != nil {
		return Event{}, err
	}
	if r.fields.tooLong() {
		if err := c.budget.spend(costTooLong); err != nil {
			return Event{}, err
		}
	}
	if known {
		return r.onTrailers(c, stream, f)
	}
	return r.onRequest(c, s, f)
}

// onRequest opens a stream, unless it may not be.
func (r *Reader) onRequest(c *Conn, s Streams, f *frame) (Event, error) {
	id, ended := f.stream, f.has(flagEndStream)
	c.newest = id
	if c.flags.is(goneAway) { // the client knows by now, or will, that this is for another connection
		c.abandon(id)
		return Event{}, c.budget.spend(costReset)
	}
	if int(c.open) >= r.limits.Streams {
		return r.fault(c, nil, id, RefusedStream, "more streams than a connection may have")
	}
	malformed, refusal := r.fields.complete()
	request := &r.fields.request
	if ended && request.ContentLength > 0 {
		malformed = "an announced content that does not come"
	}
	if malformed != "" {
		return r.fault(c, nil, id, ProtocolError, malformed)
	}
	c.open++
	stream := Stream{number: id, window: c.initial}
	if !ended {
		stream.number |= clientOpen
		r.expectContent(c, s, id)
	}
	return Event{Kind: Opened, ID: id, Stream: stream, Request: request, Err: refusal}, nil
}

// onTrailers takes in the end of a request, of whose stream we have ended our side if s is nil.
func (r *Reader) onTrailers(c *Conn, s *Stream, f *frame) (Event, error) {
	switch {
	case s == nil && f.stream != c.content:
		return Event{}, c.budget.spend(costReset) // it has been abandoned
	case !f.has(flagEndStream):
		return r.fault(c, s, f.stream, ProtocolError, "trailers that are not the end")
	case r.fields.malformed != "":
		return r.fault(c, s, f.stream, ProtocolError, r.fields.malformed)
	}
	return r.endContent(c, s, f.stream)
}

// expectContent counts the content of a new stream, whose Request has its length, instead of
// what was counted until now.
func (r *Reader) expectContent(c *Conn, s Streams, id uint32) {
	if before := c.content; before != 0 && s.Stream(before) == nil { // it has been answered
		r.Out = appendReset(r.Out, before, NoError)
		c.abandon(before)
	}
	request := &r.fields.request
	_, announced := request.Get("content-length")
	c.content, c.left = id, initialWindow
	c.flags |= unknownLength
	if announced && request.ContentLength <= initialWindow {
		c.left = uint16(request.ContentLength)
		c.flags &^= unknownLength
	}
}

// onData takes in content, which nobody wants: it is counted and forgotten (RFC 9113, 6.1).
func (r *Reader) onData(c *Conn, s Streams, f *frame) (Event, error) {
	id := f.stream
	if id == 0 || id > c.newest {
		return Event{}, &Error{ProtocolError, "a DATA of no stream"}
	}
	if err := c.budget.spend(costFrame); err != nil {
		return Event{}, err
	}
	r.giveBack(c, len(f.payload))
	if err := f.unpad(); err != nil {
		return Event{}, err
	}
	stream, n := s.Stream(id), len(f.payload)
	switch {
	case !c.expects(id, stream):
		return Event{}, &Error{StreamClosed, "a DATA of a stream that its client has ended"}
	case id == c.content && n > int(c.left) && c.flags.is(unknownLength):
		return r.fault(c, stream, id, FlowControlError, "more content than the window of the stream")
	case id == c.content && n > int(c.left):
		return r.fault(c, stream, id, ProtocolError, "more content than announced")
	case id == c.content:
		c.left -= uint16(n)
	}
	if f.has(flagEndStream) {
		return r.endContent(c, stream, id)
	}
	return Event{}, nil
}

// endContent takes in that a client has ended a stream, s if we have not.
func (r *Reader) endContent(c *Conn, s *Stream, id uint32) (Event, error) {
	if c.content == id {
		if !c.flags.is(unknownLength) && c.left > 0 {
			return r.fault(c, s, id, ProtocolError, "less content than announced")
		}
		c.content = 0
	}
	if s != nil {
		s.number &^= clientOpen
	}
	return Event{}, nil
}

// giveBack counts content for the window of the connection, which is opened again now and
// then, lest content on one stream keep back that of another.
func (r *Reader) giveBack(c *Conn, n int) {
	if c.consumed += uint16(n); c.consumed > initialWindow/2 {
		r.Out = appendWindowUpdate(r.Out, 0, uint32(c.consumed))
		c.consumed = 0
	}
}
