package channels

import "hash/maphash"

// places is how many places forgotten has: half a megabyte of them, which takes
// memory as channels vanish.
const places = 1 << 16

// forgotten has the sequences of the newest messages that went together with their
// channels. A channel of such a name, opened again, must not pretend to have
// everything. To know each of them for ever would take memory for ever, so channels
// share places: one may take it from another that it lacks something, and is told of
// a gap then, but never the other way round.
type forgotten struct {
	seed maphash.Seed
	seqs []uint64 // by place
}

func newForgotten() forgotten {
	return forgotten{maphash.MakeSeed(), make([]uint64, places)}
}

// place is that of a channel.
func (f *forgotten) place(name string) int { return int(maphash.String(f.seed, name) % places) }

// of returns the newest sequence that went with a channel of that name, or a newer
// one that went with another.
func (f *forgotten) of(name string) uint64 { return f.seqs[f.place(name)] }

// add notes that messages up to seq went with a channel.
func (f *forgotten) add(name string, seq uint64) {
	if at := &f.seqs[f.place(name)]; seq > *at {
		*at = seq
	}
}
