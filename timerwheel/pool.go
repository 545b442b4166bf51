package timerwheel

const (
	blockLen  = 15
	blockStep = 16 // places of a block: one for each index, and one unused
	chunkLen  = 1024
)

// A place is where an index is stored: block number * blockStep + offset. Block
// numbers start at 1, so that 0 is no place.
type place int32

// A block holds indices of one slot of the wheel and fills one cache line. The
// blocks of a slot form a stack: all but the topmost are full. A slot is known by
// the place of its topmost index, from which the offset tells how full the block is.
type block struct {
	below place // the last place of the block below; in a free block, any place of the next free one
	index [blockLen]int32
}

// A pool holds the blocks of all slots. When it has none free it grows by a
// chunk of 64 KB; it never shrinks. The zero value is empty.
type pool struct {
	chunks []*[chunkLen]block
	free   place // any place of the first free block, 0 if none
	made   int32 // blocks ever used
}

func (p *pool) block(at place) *block {
	number := uint32(at) / blockStep
	return &p.chunks[number/chunkLen][number%chunkLen]
}

func (p *pool) set(at place, i int32) { p.block(at).index[at%blockStep] = i }

// push puts i on the stack of top and returns its place, the new top.
func (p *pool) push(top place, i int32) place {
	at := top + 1
	if top == 0 || at%blockStep == blockLen {
		at = p.take()
		p.block(at).below = top
	}
	p.set(at, i)
	return at
}

// pop takes the topmost index off the stack of top, which must not be empty, and
// returns the new top.
func (p *pool) pop(top place) (i int32, below place) {
	b := p.block(top)
	i = b.index[top%blockStep]
	if top%blockStep != 0 {
		return i, top - 1
	}
	below = b.below
	b.below, p.free = p.free, top
	return i, below
}

// take returns the first place of an unused block.
func (p *pool) take() place {
	if at := p.free; at != 0 {
		p.free = p.block(at).below
		return at
	}
	p.made++
	if int(p.made) >= len(p.chunks)*chunkLen {
		p.chunks = append(p.chunks, new([chunkLen]block))
	}
	return place(p.made * blockStep)
}
