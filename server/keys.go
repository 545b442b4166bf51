package server

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"millrace/internal/tlsrecord"
)

// keys has the record states of TLS connections beside the table of slots.
// They stand in memory of their own, in which the collector does not look, and which is kept
// out of core dumps. Chunks appear when they are first needed, and stay until close.
type keys struct {
	chunks []atomic.Pointer[keyChunk]
}

type keyChunk [chunkSize]tlsrecord.State

// tryKeys tells why there can be no memory for keys, so that it shows at the start and not at
// the first handshake.
func tryKeys() error {
	memory, err := mapKeys(int(unsafe.Sizeof(keyChunk{})))
	if err != nil {
		return fmt.Errorf("TLS is not served, since memory for its keys cannot be had: %w", err)
	}
	return unix.Munmap(memory)
}

// newKeys returns those of descriptors below limit.
func newKeys(limit int) *keys {
	return &keys{make([]atomic.Pointer[keyChunk], (limit+chunkSize-1)/chunkSize)}
}

// at returns the state of a connection, nil if there never was one.
func (k *keys) at(id streamID) *tlsrecord.State {
	if chunk := k.chunks[id>>chunkShift].Load(); chunk != nil {
		return &chunk[id&(chunkSize-1)]
	}
	return nil
}

// claim is at for a connection that is to have a state.
func (k *keys) claim(id streamID) (*tlsrecord.State, error) {
	place := &k.chunks[id>>chunkShift]
	chunk := place.Load()
	if chunk == nil {
		memory, err := mapKeys(int(unsafe.Sizeof(keyChunk{})))
		if err != nil {
			return nil, err
		}
		chunk = (*keyChunk)(unsafe.Pointer(unsafe.SliceData(memory)))
		if !place.CompareAndSwap(nil, chunk) { // another loop that shares the table was first
			unix.Munmap(memory)
			chunk = place.Load()
		}
	}
	return &chunk[id&(chunkSize-1)], nil
}

// close gives the memory back, when no loop uses it any more.
func (k *keys) close() {
	for i := range k.chunks {
		if chunk := k.chunks[i].Swap(nil); chunk != nil {
			unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(chunk)), unsafe.Sizeof(*chunk)))
		}
	}
}
