package server

import (
	"sync/atomic"

	"millrace/timerwheel"
)

// conn is what the server knows of one descriptor: one cache line, no pointer,
// so that a million of them cost the garbage collector nothing.
//
// owner says whose the slot is: 0 nobody's, else the number of a loop and one.
// It is set after the slot is filled and cleared before the descriptor is
// closed, so a loop that finds its own number may touch the rest, and any other
// loop, roused by a stale event, must not.
type conn struct {
	owner atomic.Int32
	slot
}

// slot is the part of a conn that belongs to its owner. Of the 64 bytes 10 are
// free: 4 before the slot, 6 at its end.
type slot struct {
	timer   timerwheel.Node // the one timer of this descriptor
	local   int32           // stream: index of its channel in loop.locals, or severalChannels
	cursor  uint64          // stream: the sequence up to which it has everything
	opened  moment          // when the stream began, or before that the connection
	due     moment          // stream: its next ping; at most a period ahead
	wrote   moment          // when something was last written
	place   int32           // stream: its index in the channel's list of subscribers
	address addressRef      // the client's entry in Server.addresses, if it is counted there
	heard   uint16          // bytes that came behind the request head: see loop.hear
	state   state
	why     reason // head: why it may not become a stream, if not reasonAnswered; lingering: why it will end
	away    bool   // counted at its address as one that may not become a stream
	behind  bool   // stream: it has an entry in loop.readers
	fast    bool   // stream: it is behind, and publishers wait for it: see slowReader.pace
}

// severalChannels, in slot.local, says that the stream's channels are found in
// loop.several.
const severalChannels = -1

// state says what a descriptor is for, and what its timer means.
type state uint8

const (
	stateFree     state = iota
	stateWake           // the loop's wake descriptor
	stateListener       // timer: try to accept again
	stateProxy          // a PROXY header is awaited, then a request head; timer: the deadline of both
	stateHead           // a request head is awaited; timer: its deadline
	stateStream         // timer: the next ping, the end of patience, or of life
	stateWaiting        // a stream that cannot begin yet; timer: its head, or as that of a stream
	stateLinger         // answered, waiting for the peer's end; timer: no longer
)

// chunkSize is the number of slots allocated together: 64 KiB of them.
const chunkSize = 1 << chunkShift
const chunkShift = 10

type chunk [chunkSize]conn

// table finds slots by descriptor. Its loops share it as they share the
// process's descriptors. Chunks appear when they are first needed, and stay.
type table struct {
	chunks []atomic.Pointer[chunk]
}

// newTable returns a table for descriptors below limit.
func newTable(limit int) *table {
	return &table{make([]atomic.Pointer[chunk], (limit+chunkSize-1)/chunkSize)}
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

// at returns the slot of a descriptor that was claimed before.
func (t *table) at(fd int32) *conn {
	return &t.chunks[fd>>chunkShift].Load()[fd&(chunkSize-1)]
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
	c := t.at(fd)
	c.owner.Load() // pairs with release: the previous owner's writes came before
	c.slot = s
	c.owner.Store(loop + 1)
	return c
}

// release frees the slot. The caller closes the descriptor afterwards.
func (c *conn) release() {
	c.state = stateFree
	c.owner.Store(0)
}

// owned tells whether the descriptor has a slot that belongs to loop.
func (t *table) owned(fd int32, loop int32) bool {
	i := int(fd >> chunkShift)
	if i >= len(t.chunks) {
		return false
	}
	chunk := t.chunks[i].Load()
	return chunk != nil && chunk[fd&(chunkSize-1)].owner.Load() == loop+1
}

// each calls f for every descriptor of loop.
func (t *table) each(loop int32, f func(fd int32, c *conn)) {
	for fd, c := t.next(loop, 0); c != nil; fd, c = t.next(loop, fd+1) {
		f(fd, c)
	}
}

// next returns the least descriptor of loop from fd on; nil for its slot when
// there is none.
func (t *table) next(loop, fd int32) (int32, *conn) {
	for i := int(fd >> chunkShift); i < len(t.chunks); i++ {
		chunk := t.chunks[i].Load()
		for j := int(fd & (chunkSize - 1)); chunk != nil && j < chunkSize; j++ {
			if c := &chunk[j]; c.owner.Load() == loop+1 {
				return int32(i<<chunkShift | j), c
			}
		}
		fd = 0
	}
	return 0, nil
}

// timers is the table as the timer wheel sees it.
type timers struct{ *table }

// Node returns the timer of a claimed descriptor.
func (t timers) Node(fd int32) *timerwheel.Node { return &t.at(fd).timer }
