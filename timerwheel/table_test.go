package timerwheel

import "math/rand/v2"

const chunkBits = 10

// slot stands for the owner's record: one cache line without pointers.
type slot struct {
	_       [20]byte
	timer   Node
	touches uint32
	_       [28]byte
}

// chunked is a table as the owner keeps it: slots in chunks of 1024.
type chunked struct{ chunks []*[1 << chunkBits]slot }

func newChunked(n int) *chunked {
	t := &chunked{}
	for range (n + 1<<chunkBits - 1) >> chunkBits {
		t.chunks = append(t.chunks, new([1 << chunkBits]slot))
	}
	return t
}

func (t *chunked) slot(i int32) *slot { return &t.chunks[i>>chunkBits][i&(1<<chunkBits-1)] }
func (t *chunked) Node(i int32) *Node { return &t.slot(i).timer }

// shuffled returns the indices below n in random order.
func shuffled(n int) []int32 {
	order := make([]int32, n)
	for k, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		order[k] = int32(i)
	}
	return order
}

// sequence returns the indices below n in order.
func sequence(n int) []int32 {
	order := make([]int32, n)
	for k := range order {
		order[k] = int32(k)
	}
	return order
}
