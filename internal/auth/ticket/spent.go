package ticket

import "sync"

const (
	// maxSpent is how many families are known of which a ticket has been opened: 45 MB.
	maxSpent = 1 << 20
	// keepSpent is how long, in seconds, families are gathered before those that are
	// over are looked for.
	keepSpent = 3600
)

// spent knows which tickets have been opened: of each family the last generation, until
// no ticket of it can be opened any more. There are two tables, and what is new goes into
// the young one. When that is full or has been filled for an hour, it becomes the old
// one, if all of the old one is over or there is no room. What is forgotten for want of
// room is void from then on: what was issued up to the newest of it opens only if it is
// known. The zero value is ready. Safe for concurrent use.
type spent struct {
	mu         sync.Mutex
	young, old table
	floor      int64 // microseconds: what was issued up to then and is not known is void
	forgotten  int64 // families
	most       int   // 0: maxSpent
}

// table is a part of the families. It has no pointers, whatever its size.
type table struct {
	last  map[family]uint32 // generation that has been opened
	began int64             // seconds: when it got its first
	until int64             // seconds: when all of it is over
	floor int64             // microseconds: when the newest of it was issued
}

// outcome is what became of the opening of a ticket.
type outcome uint8

const (
	opened  outcome = iota
	reused          // it, or one of its family that follows it, has been opened
	unknown         // whether it has been opened was forgotten
)

// open notes that a ticket is opened, unless it has been. now is in seconds.
func (s *spent) open(c *contents, now int64) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.young.last[c.family]
	if !known {
		last, known = s.old.last[c.family]
	}
	switch {
	case known && c.generation <= last:
		return reused
	case !known && c.issued <= s.floor:
		return unknown
	}
	s.note(c.family, c.generation, c.issued, c.until, now)
	return opened
}

// note notes a generation of a family as the last one that was opened. Called with mu
// held.
func (s *spent) note(f family, generation uint32, issued, until, now int64) {
	s.turnOver(now)
	if s.young.last == nil {
		s.young = table{last: make(map[family]uint32), began: now}
	}
	s.young.last[f] = generation
	s.young.until = max(s.young.until, until)
	s.young.floor = max(s.young.floor, issued)
}

// turnOver makes the young table the old one when it is time. Called with mu held.
func (s *spent) turnOver(now int64) {
	most := s.most
	if most == 0 {
		most = maxSpent
	}
	full := len(s.young.last) >= most/2
	over := s.old.until <= now
	due := len(s.young.last) > 0 && now-s.young.began >= keepSpent
	if !full && !(over && due) {
		return
	}
	if !over {
		s.floor = max(s.floor, s.old.floor)
		s.forgotten += int64(len(s.old.last))
	}
	s.old, s.young = s.young, table{}
}

// hear notes what another node has opened.
func (s *spent) hear(f family, generation uint32, issued, until, now int64) {
	if until <= now {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.young.last[f]
	if !known {
		last, known = s.old.last[f]
	}
	if !known || last < generation {
		s.note(f, generation, issued, until, now)
	}
}

// figures returns how many families are known, and how many were forgotten for want of
// room.
func (s *spent) figures() (known int, forgotten int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.young.last) + len(s.old.last), s.forgotten
}
