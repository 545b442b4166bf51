package timerwheel

import "math/bits"

const (
	slotBits = 12
	slots    = 1 << slotBits
	wordBits = 64
)

// A level is a circle of slots with bits that tell which of them are in use.
// The zero value is empty.
type level struct {
	// top holds the place of the topmost index of each slot, 0 for an empty slot.
	top [slots]place
	// occupied has bit s%64 of word s/64 set while slot s is not empty, and
	// summary has bit w set while word w is not 0.
	occupied [slots / wordBits]uint64
	summary  uint64
}

func (l *level) mark(slot int) {
	l.occupied[slot/wordBits] |= 1 << (slot % wordBits)
	l.summary |= 1 << (slot / wordBits)
}

func (l *level) unmark(slot int) {
	word := &l.occupied[slot/wordBits]
	*word &^= 1 << (slot % wordBits)
	if *word == 0 {
		l.summary &^= 1 << (slot / wordBits)
	}
}

// ahead returns how many slots ahead of from the first occupied one is, going
// round the circle and beginning with from itself. The level must not be empty.
func (l *level) ahead(from int) int {
	word, bit := from/wordBits, from%wordBits
	if rest := l.occupied[word] >> bit; rest != 0 {
		return bits.TrailingZeros64(rest)
	}
	// The word of from comes last: the slots it still holds lie after from.
	skip := 1 + bits.TrailingZeros64(bits.RotateLeft64(l.summary, -(word+1)))
	next := (word + skip) % len(l.occupied)
	return skip*wordBits - bit + bits.TrailingZeros64(l.occupied[next])
}
