package handover

// Engine is the place in what an engine delivers up to which the predecessor has handed it on.
// It goes three times: with Heard to the successor, with Fence back, and then with the place.
type Engine struct {
	// Heard are channels that observers hear, which no stream has to be on, or a page of them.
	Heard []string
	More  bool // another page comes
	// Fence is a name that the successor has drawn: a message with it marks the place.
	Fence string
	// Exact tells that everything before the fence, or up to Table, was handed on, and nothing
	// after it.
	Exact bool
	Table Table
}

// Table is the place in a table of messages: the newest id that was read, and the ids below it
// that may still come.
type Table struct {
	Known   bool // there is a place
	Newest  int64
	Missing []Span
	Held    []Row
}

// Span is a run of missing ids.
type Span struct {
	Low, High int64 // both included
	Age       int64 // since it was noticed, in nanoseconds
	Before    int64 // the transactions that may bring it are below
}

// Row is a message that was seen, and is not handed on yet.
type Row struct {
	ID, Hash int64
	Size     int64 // bytes
}

// Append implements Record.
func (e *Engine) Append(w *Writer) {
	w.Strings(e.Heard)
	w.Bool(e.More)
	w.String(e.Fence)
	w.Bool(e.Exact)
	t := &e.Table
	w.Bool(t.Known)
	w.I64(t.Newest)
	appendList(w, t.Missing, func(s *Span) {
		w.I64(s.Low)
		w.I64(s.High)
		w.I64(s.Age)
		w.I64(s.Before)
	})
	appendList(w, t.Held, func(row *Row) {
		w.I64(row.ID)
		w.I64(row.Hash)
		w.I64(row.Size)
	})
	w.EndExtras()
}

// Parse implements Record.
func (e *Engine) Parse(r *Reader) {
	e.Heard = r.Strings()
	e.More, e.Fence, e.Exact = r.Bool(), r.String(), r.Bool()
	t := &e.Table
	t.Known, t.Newest = r.Bool(), r.I64()
	t.Missing = parseList(r, 32, func(s *Span) { *s = Span{Low: r.I64(), High: r.I64(), Age: r.I64(), Before: r.I64()} })
	t.Held = parseList(r, 24, func(row *Row) { *row = Row{ID: r.I64(), Hash: r.I64(), Size: r.I64()} })
	r.NoExtras()
}
