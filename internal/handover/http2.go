package handover

// HTTP2 is what a connection of HTTP/2 has beside its streams, which travel behind the
// connections: see SharedStream.
type HTTP2 struct {
	State  []byte // h2's, of a connection that has acknowledged our settings
	Begun  []byte // of a frame that has come in part
	Awaits uint32 // since when something is awaited of the client, in ticks of 10 ms; 0 for nothing
	Leaves uint8  // why it ends with its last stream, an index in LoopHead.Reasons; 0 for not at all
	Broken bool   // it does not wait for that
}

// Append implements Record.
func (h *HTTP2) Append(w *Writer) {
	w.Sized(h.State)
	w.Sized(h.Begun)
	w.U32(h.Awaits)
	w.U8(h.Leaves)
	w.Bool(h.Broken)
	w.EndExtras()
}

// Parse implements Record.
func (h *HTTP2) Parse(r *Reader) {
	h.State, h.Begun = r.Sized(), r.Sized()
	h.Awaits, h.Leaves, h.Broken = r.U32(), r.U8(), r.Bool()
	r.NoExtras()
}

// SharedStream is a stream of HTTP/2. Those of a connection stand one after the other, the last
// of its list first.
type SharedStream struct {
	Connection uint32 // its place in the loop's records
	IsNext     bool   // it catches up next
	State      []byte // h2's
	Stream     Stream
}

// Append implements Record.
func (s *SharedStream) Append(w *Writer) {
	w.U32(s.Connection)
	w.Bool(s.IsNext)
	w.Sized(s.State)
	s.Stream.Append(w)
}

// Parse implements Record.
func (s *SharedStream) Parse(r *Reader) {
	s.Connection, s.IsNext, s.State = r.U32(), r.Bool(), r.Sized()
	s.Stream.Parse(r)
}
