package handover

import "time"

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

// Bye is the last word of a predecessor: what was asked of it and is left to the successor,
// and what there is to tell of upgrades.
type Bye struct {
	Stop     bool // to end in order
	Reload   bool // to read secrets again
	Upgrades Upgrades
}

// Append implements Record.
func (b *Bye) Append(w *Writer) {
	w.Bool(b.Stop)
	w.Bool(b.Reload)
	b.Upgrades.append(w)
	w.EndExtras()
}

// Parse implements Record.
func (b *Bye) Parse(r *Reader) {
	b.Stop, b.Reload = r.Bool(), r.Bool()
	b.Upgrades.parse(r)
	r.NoExtras()
}

// Upgrades are the figures of all upgrades since the service was started.
type Upgrades struct {
	Done, Refused, Failed, TakenBack uint64 // by what came of them
	Last                             Upgrade
}

// Upgrade are the figures of one that was done.
type Upgrade struct {
	Streams, Ended uint64 // that were moved, and connections that could not be moved
	Took           time.Duration
	// How long clients were not served: the median and the longest of streams, and publishers.
	Median, Longest, Publishers time.Duration
}

func (u *Upgrades) append(w *Writer) {
	for _, n := range []uint64{u.Done, u.Refused, u.Failed, u.TakenBack, u.Last.Streams, u.Last.Ended} {
		w.U64(n)
	}
	for _, d := range []time.Duration{u.Last.Took, u.Last.Median, u.Last.Longest, u.Last.Publishers} {
		w.I64(int64(d))
	}
}

func (u *Upgrades) parse(r *Reader) {
	for _, n := range []*uint64{&u.Done, &u.Refused, &u.Failed, &u.TakenBack, &u.Last.Streams, &u.Last.Ended} {
		*n = r.U64()
	}
	for _, d := range []*time.Duration{&u.Last.Took, &u.Last.Median, &u.Last.Longest, &u.Last.Publishers} {
		*d = time.Duration(r.I64())
	}
}
