package server

import "millrace/internal/handover"

// Beside returns what limits new connections beside the loops, for a process that takes over:
// how full the buckets of all clients and of each address are. Safe for concurrent use.
func (s *Server) Beside() (b handover.Beside) {
	b.Arrivals = s.arrivals.State()
	if s.addresses != nil {
		b.Addresses = s.addresses.Rates(s.clock())
	}
	return b
}

// TakeBeside takes in what Beside of the process before has returned, all or a page of it. The
// loop time is that process's. What comes twice counts once. Safe for concurrent use.
func (s *Server) TakeBeside(b *handover.Beside) {
	now := s.clock()
	s.arrivals.Follow(b.Arrivals, now, longestDelay)
	if s.addresses != nil {
		s.addresses.Follow(b.Addresses, now)
	}
}
