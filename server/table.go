package server

import (
	"sync/atomic"

	"millrace/timerwheel"
)

// chunkSize is the number of slots allocated together: 64 KiB of them.
const chunkSize = 1 << chunkShift
const chunkShift = 10

type chunk [chunkSize]conn

// table finds slots by descriptor. Its loops share it as they share the
// process's descriptors. Chunks appear when they are first needed, and stay.
type table struct {
	chunks []atomic.Pointer[chunk]
	grants grantTable
}

// newTable returns a table for descriptors below limit.
func newTable(limit int) *table {
	chunks := (limit + chunkSize - 1) / chunkSize
	return &table{make([]atomic.Pointer[chunk], chunks), make(grantTable, chunks)}
}

// size returns the number of slots that have been needed so far, and those of their
// chunks.
func (t *table) size() int {
	n := len(t.chunks)
	for n > 0 && t.chunks[n-1].Load() == nil {
		n--
	}
	return n * chunkSize
}

// at returns a slot that was claimed before.
func (t *table) at(id streamID) *conn {
	return &t.chunks[id>>chunkShift].Load()[id&(chunkSize-1)]
}

// claim fills the free slot of fd and gives it to loop; nil when fd lies
// beyond the table.
func (t *table) claim(fd int32, loop int32, s slot) *conn {
	i := int(fd >> chunkShift)
	if i >= len(t.chunks) {
		return nil
	}
	if t.chunks[i].Load() == nil {
		t.chunks[i].CompareAndSwap(nil, new(chunk))
	}
	c := t.at(streamID(fd))
	c.owner.Load() // pairs with release: the previous owner's writes came before
	c.address, c.slot = 0, s
	c.self = streamID(fd)
	c.owner.Store(loop + 1)
	return c
}

// release frees the slot. The caller closes the descriptor afterwards.
func (c *conn) release() {
	c.state = stateFree
	c.owner.Store(0)
}

// owned returns a slot if it belongs to loop, else nil.
func (t *table) owned(id streamID, loop int32) *conn {
	i := int(id >> chunkShift)
	if i >= len(t.chunks) {
		return nil
	}
	chunk := t.chunks[i].Load()
	if chunk == nil || chunk[id&(chunkSize-1)].owner.Load() != loop+1 {
		return nil
	}
	return &chunk[id&(chunkSize-1)]
}

// each calls f for every slot of loop.
func (t *table) each(loop int32, f func(c *conn)) {
	for c := t.next(loop, 0); c != nil; {
		id := c.id() // before f, which may give the slot up
		f(c)
		c = t.next(loop, id+1)
	}
}

// next returns the first slot of loop from id on, nil when there is none.
func (t *table) next(loop int32, id streamID) *conn {
	for i := int(id >> chunkShift); i < len(t.chunks); i++ {
		chunk := t.chunks[i].Load()
		for j := int(id & (chunkSize - 1)); chunk != nil && j < chunkSize; j++ {
			if c := &chunk[j]; c.owner.Load() == loop+1 {
				return c
			}
		}
		id = 0
	}
	return nil
}

// timers is the table as the timer wheel sees it.
type timers struct{ *table }

// Node returns the timer of a claimed slot.
func (t timers) Node(i int32) *timerwheel.Node { return &t.at(streamID(i)).timer }
