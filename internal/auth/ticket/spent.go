package ticket

import (
	"cmp"
	"slices"
	"sync"
)

const (
	// maxSpent is how many families are known of which a ticket has been opened: 45 MB.
	maxSpent = 1 << 20
	// keepSpent is how long, in seconds, families are gathered before those that are
	// over are looked for.
	keepSpent = 3600
)

// spent knows which tickets have been opened: of each family the last generation, until
// no ticket of it can be opened any more. What is new goes into the young table. When that is
// full or has been filled for an hour, it becomes an old one, if all of those before are over
// or there is no room, and these are forgotten. What is forgotten for want of room is void
// from then on: what was issued up to the newest of it opens only if it is known. Mostly there
// is one old table; an upgrade puts the young one beside it. The zero value is ready. Safe for
// concurrent use.
type spent struct {
	mu        sync.Mutex
	young     table
	old       []table // the oldest first; their maps do not change once they can be seen
	floor     int64   // microseconds: what was issued up to then and is not known is void
	forgotten int64   // families
	most      int     // 0: maxSpent
}

// table is a part of the families. It has no pointers, whatever its size.
type table struct {
	last  map[family]uint32 // generation that has been opened
	began int64             // seconds: when it got its first
	until int64             // seconds: when all of it is over
	floor int64             // microseconds: when the newest of it was issued
	came  uint32            // of the process before: its place among the tables there, from 1 on
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
	last, known := s.last(c.family)
	switch {
	case known && c.generation <= last:
		return reused
	case !known && c.issued <= s.floor:
		return unknown
	}
	s.note(c.family, c.generation, c.issued, c.until, now)
	return opened
}

// last returns the newest generation of a family that has been opened. Called with mu held.
func (s *spent) last(f family) (last uint32, known bool) {
	last, known = s.young.last[f]
	for i := len(s.old) - 1; i >= 0 && !known; i-- {
		last, known = s.old[i].last[f]
	}
	return last, known
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

// turnOver makes the young table an old one when it is time. Called with mu held.
func (s *spent) turnOver(now int64) {
	full := len(s.young.last) >= s.room()/2
	over := !slices.ContainsFunc(s.old, func(t table) bool { return t.until > now })
	due := len(s.young.last) > 0 && now-s.young.began >= keepSpent
	if full || over && due {
		s.setAside()
		s.forget(now)
	}
}

// setAside makes the young table an old one. Called with mu held.
func (s *spent) setAside() {
	s.old, s.young = append(s.old, s.young), table{}
}

// forget drops the old tables that are over, and for want of room the oldest of the others.
// Called with mu held.
func (s *spent) forget(now int64) {
	s.old = slices.DeleteFunc(s.old, func(t table) bool { return t.until <= now })
	kept := 0
	for i := len(s.old) - 1; i >= 0; i-- {
		if kept += len(s.old[i].last); kept <= max(s.room()/2, len(s.old[len(s.old)-1].last)) {
			continue
		}
		for _, t := range s.old[:i+1] {
			s.floor = max(s.floor, t.floor)
			s.forgotten += int64(len(t.last))
		}
		s.old = slices.Delete(s.old, 0, i+1)
		return
	}
}

// room is how many families may be known.
func (s *spent) room() int { return cmp.Or(s.most, maxSpent) }

// hear notes what another node has opened.
func (s *spent) hear(f family, generation uint32, issued, until, now int64) {
	if until <= now {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, known := s.last(f); !known || last < generation {
		s.note(f, generation, issued, until, now)
	}
}

// figures returns how many families are known, and how many were forgotten for want of
// room.
func (s *spent) figures() (known int, forgotten int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known = len(s.young.last)
	for _, t := range s.old {
		known += len(t.last)
	}
	return known, s.forgotten
}
