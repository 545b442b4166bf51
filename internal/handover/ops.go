package handover

// Ops is what the ops port has at the switch. It travels by SendLong as KindOps; its
// descriptors are those of the connections, in order.
type Ops struct{ Connections []OpsConnection }

// OpsConnection is a connection of the ops port between two requests.
type OpsConnection struct {
	Cookie   uint64 // of the socket
	Received []byte // of the next request
}

// Append implements Record.
func (o *Ops) Append(w *Writer) {
	w.U32(uint32(len(o.Connections)))
	for _, c := range o.Connections {
		w.U64(c.Cookie)
		w.Sized(c.Received)
		w.EndExtras()
	}
}

// Parse implements Record.
func (o *Ops) Parse(r *Reader) {
	n := r.Count(13)
	for i := 0; i < n && r.Err() == nil; i++ {
		c := OpsConnection{Cookie: r.U64(), Received: r.Sized()}
		r.NoExtras()
		o.Connections = append(o.Connections, c)
	}
}
