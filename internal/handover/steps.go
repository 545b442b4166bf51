package handover

// Clock tells a successor how its predecessor measures time, and its number of loops.
type Clock struct {
	Monotonic, Loop int64 // CLOCK_MONOTONIC and loop time at the same moment, in nanoseconds
	Loops           uint32
}

// Append implements Record.
func (c *Clock) Append(w *Writer) {
	w.I64(c.Monotonic)
	w.I64(c.Loop)
	w.U32(c.Loops)
	w.EndExtras()
}

// Parse implements Record.
func (c *Clock) Parse(r *Reader) {
	c.Monotonic, c.Loop, c.Loops = r.I64(), r.I64(), r.U32()
	r.NoExtras()
}

// Port is one beside the public one.
type Port uint8

const (
	PortAdmin Port = 1 + iota
	PortOps
)

// Listener comes with the listener of a port.
type Listener struct{ Port Port }

// Append implements Record.
func (l *Listener) Append(w *Writer) {
	w.U8(uint8(l.Port))
	w.EndExtras()
}

// Parse implements Record.
func (l *Listener) Parse(r *Reader) {
	l.Port = Port(r.U8())
	r.NoExtras()
}

// Bye is the last word of a predecessor: what was asked of it and is left to the successor.
type Bye struct {
	Stop   bool // to end in order
	Reload bool // to read secrets again
}

// Append implements Record.
func (b *Bye) Append(w *Writer) {
	w.Bool(b.Stop)
	w.Bool(b.Reload)
	w.EndExtras()
}

// Parse implements Record.
func (b *Bye) Parse(r *Reader) {
	b.Stop, b.Reload = r.Bool(), r.Bool()
	r.NoExtras()
}
