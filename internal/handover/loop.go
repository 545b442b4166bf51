package handover

// LoopHead stands before all that is a loop's. Its frame has the descriptors of the loop's
// listeners: those without TLS come first.
type LoopHead struct {
	Loop        uint32
	K           uint64 // the sequence before the first message that the loop has not served
	Head        uint64 // the sequence of the newest message: no stream has had more
	Keepalive   int64  // the period of pings, in nanoseconds
	Plain       uint8  // listeners without TLS
	Channels    uint32 // how many channels follow,
	Connections uint32 // and connections
	Reasons     []string
}

// Append implements Record.
func (h *LoopHead) Append(w *Writer) {
	w.U32(h.Loop)
	w.U64(h.K)
	w.U64(h.Head)
	w.I64(h.Keepalive)
	w.U8(h.Plain)
	w.U32(h.Channels)
	w.U32(h.Connections)
	w.Strings(h.Reasons)
	w.EndExtras()
}

// Parse implements Record.
func (h *LoopHead) Parse(r *Reader) {
	h.Loop, h.K, h.Head, h.Keepalive, h.Plain = r.U32(), r.U64(), r.U64(), r.I64(), r.U8()
	h.Channels, h.Connections = r.U32(), r.U32()
	h.Reasons = r.Strings()
	r.NoExtras()
}

// LoopChannel is one of a loop's channels.
type LoopChannel struct {
	Name        []byte
	Subscribers int32 // streams of the loop that are on it
}

// Append implements Record.
func (c *LoopChannel) Append(w *Writer) {
	w.Sized(c.Name)
	w.I32(c.Subscribers)
}

// Parse implements Record.
func (c *LoopChannel) Parse(r *Reader) { c.Name, c.Subscribers = r.Sized(), r.I32() }

// LoopEnd stands after all that is a loop's, and comes back as what has arrived.
type LoopEnd struct {
	Connections uint32
	Sum         uint32 // Packer.Sum of their records
}

// Append implements Record.
func (e *LoopEnd) Append(w *Writer) {
	w.U32(e.Connections)
	w.U32(e.Sum)
}

// Parse implements Record.
func (e *LoopEnd) Parse(r *Reader) { e.Connections, e.Sum = r.U32(), r.U32() }
