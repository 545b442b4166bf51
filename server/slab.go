package server

// slab is entries without pointers, found by their index. Chunks appear when they are first
// needed, and stay; so does an entry's address.
type slab[T any] struct {
	chunks []*[chunkSize]T
	unused []int32 // indexes that were given back
	used   int32   // indexes below it have been claimed before
}

// at returns an entry that was claimed before.
func (s *slab[T]) at(i int32) *T { return &s.chunks[i>>chunkShift][i&(chunkSize-1)] }

// claim returns the index of an entry that is nobody else's.
func (s *slab[T]) claim() int32 {
	if n := len(s.unused); n > 0 {
		i := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return i
	}
	if int(s.used>>chunkShift) == len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkSize]T))
	}
	s.used++
	return s.used - 1
}

// release gives an entry back.
func (s *slab[T]) release(i int32) {
	s.unused = append(s.unused, i)
	if len(s.unused) == int(s.used) && len(s.unused) > fewLeft { // a crowd's
		s.unused, s.used = nil, 0
	}
}
