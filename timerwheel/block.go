package timerwheel

const (
	blockLen  = 15 // a block fills one cache line
	chunkLen  = 1024
	placeBits = 4
)

// A block holds indices of one bucket.
type block struct {
	below int32 // number of the next block of the stack, or of the free list; 0 for none
	index [blockLen]int32
}

// A place is where an index lies: block number * 16 + offset. No block has number 0.
type place int32

// A stack is a bucket's indices: a list of blocks, all full but the topmost.
// The zero value is empty.
type stack struct {
	top  int32 // number of the topmost block; 0 if empty
	fill int32 // how many indices it holds, at least one
}

// A pool keeps the blocks of all stacks. It grows by a chunk of 64 KB when it has no
// free block, and never shrinks. The zero value is empty.
type pool struct {
	chunks []*[chunkLen]block
	free   int32 // first block of the free list
	used   int32 // the highest block number handed out
}

func (p *pool) block(number int32) *block {
	return &p.chunks[number/chunkLen][number%chunkLen]
}

func (p *pool) set(at place, i int32) {
	p.block(int32(at >> placeBits)).index[at&(1<<placeBits-1)] = i
}

// push puts i on s and returns its place.
func (p *pool) push(s *stack, i int32) place {
	if s.top == 0 || s.fill == blockLen {
		number := p.take()
		p.block(number).below = s.top
		s.top, s.fill = number, 0
	}
	p.block(s.top).index[s.fill] = i
	at := place(s.top<<placeBits | s.fill)
	s.fill++
	return at
}

// pop takes the topmost index off s, which must not be empty.
func (p *pool) pop(s *stack) int32 {
	b := p.block(s.top)
	s.fill--
	i := b.index[s.fill]
	if s.fill == 0 {
		below := b.below
		b.below, p.free = p.free, s.top
		s.top = below
		if below != 0 {
			s.fill = blockLen
		}
	}
	return i
}

// take returns a block for use.
func (p *pool) take() int32 {
	if number := p.free; number != 0 {
		p.free = p.block(number).below
		return number
	}
	p.used++
	if int(p.used) >= len(p.chunks)*chunkLen {
		p.chunks = append(p.chunks, new([chunkLen]block))
	}
	return p.used
}
