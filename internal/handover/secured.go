package handover

// Extras of a connection that has TLS, or is one of HTTP/2.
const (
	TagSecured Tag = 0x10
	TagHTTP2   Tag = 0x11
)

// Secured is what a connection with TLS has beside its keys, which travel by themselves: see
// Keys.
type Secured struct {
	Certificate string  // a name that selects its certificate, if more requests may come
	Part        []byte  // of a record that has come in part
	Rest        *Sealed // nil if its socket has cut no record
}

// Sealed is the rest of a record of which the socket took a part.
type Sealed struct {
	Record     []byte
	Content    uint32 // bytes that the whole record carries
	Deliveries uint32 // messages of which it carries the last byte
	Fell       int64  // when the connection fell behind, in nanoseconds of the loop
}

// Append implements Record.
func (s *Secured) Append(w *Writer) {
	w.String(s.Certificate)
	w.Sized(s.Part)
	w.Bool(s.Rest != nil)
	if s.Rest != nil {
		w.Sized(s.Rest.Record)
		w.U32(s.Rest.Content)
		w.U32(s.Rest.Deliveries)
		w.I64(s.Rest.Fell)
	}
	w.EndExtras()
}

// Parse implements Record.
func (s *Secured) Parse(r *Reader) {
	s.Certificate, s.Part = r.String(), r.Sized()
	if r.Bool() {
		s.Rest = &Sealed{r.Sized(), r.U32(), r.U32(), r.I64()}
	}
	r.NoExtras()
}

// Keys are the record layers of connections. They stand in frames of their own, so that there
// are few buffers to be cleared behind them. A list of them is a record.
type Keys struct {
	Connection uint32 // its place in the loop's records
	State      []byte // tlsrecord's
}

// keysHeader is the length of what stands before a State, in bytes.
const keysHeader = 4 + 2

// KeysLen is the length of Keys with a state of n bytes.
func KeysLen(n int) int { return keysHeader + n }

// Append implements Record.
func (k *Keys) Append(w *Writer) {
	w.U32(k.Connection)
	w.U16(uint16(len(k.State)))
	w.Raw(k.State)
}

// Parse implements Record.
func (k *Keys) Parse(r *Reader) { k.Connection, k.State = r.U32(), r.Raw(int(r.U16())) }
