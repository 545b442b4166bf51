package postgres

import (
	"slices"
	"time"
)

const (
	// settling is how long ids above a missing one wait for it, at most, so that
	// all nodes deliver in the order of the ids.
	settling = time.Second
	// doubt is how long an id stays missing although every transaction that could
	// have drawn it has ended: one that has drawn it may be about to begin
	// writing, and is seen by others only then.
	doubt = 5 * time.Second
)

// span is a run of ids that were not there when a later one was: their
// transactions have not committed yet, or never will.
type span struct {
	low, high int64 // both included
	since     time.Time
	xmax      int64 // the transactions that may have drawn them are below
}

// settled tells whether ids above s need not wait for it any more.
func (s span) settled(xmin int64, now time.Time) bool {
	age := now.Sub(s.since)
	return age >= settling || age >= settling/20 && xmin >= s.xmax
}

// dead tells whether none of s will ever be there.
func (s span) dead(xmin int64, now time.Time) bool {
	return xmin >= s.xmax && now.Sub(s.since) >= doubt
}

// ids are those that a sequence has drawn, as far as it has been seen: all up to
// newest, but for the missing ones. A sequence draws in order; its transactions
// commit in any.
type ids struct {
	newest  int64
	missing []span // in order
}

// see notes that id is there, in a snapshot that begins at xmax and was taken at
// now. It returns false if that was known already.
func (s *ids) see(id, xmax int64, now time.Time) bool {
	if id > s.newest {
		if id > s.newest+1 {
			s.missing = append(s.missing, span{s.newest + 1, id - 1, now, xmax})
		}
		s.newest = id
		return true
	}
	i, found := slices.BinarySearchFunc(s.missing, id, func(m span, id int64) int {
		switch {
		case m.high < id:
			return -1
		case m.low > id:
			return 1
		}
		return 0
	})
	if !found {
		return false
	}
	m := s.missing[i]
	below, above := m, m
	below.high, above.low = id-1, id+1
	rest := make([]span, 0, 2)
	for _, part := range []span{below, above} {
		if part.low <= part.high {
			rest = append(rest, part)
		}
	}
	s.missing = slices.Replace(s.missing, i, i+1, rest...)
	return true
}

// forget drops the spans that will never be there. xmin is the oldest
// transaction that had not ended at now.
func (s *ids) forget(xmin int64, now time.Time) {
	s.missing = slices.DeleteFunc(s.missing, func(m span) bool { return m.dead(xmin, now) })
}

// ready returns the id up to which nothing has to be waited for.
func (s *ids) ready(xmin int64, now time.Time) int64 {
	for _, m := range s.missing {
		if !m.settled(xmin, now) {
			return m.low - 1
		}
	}
	return s.newest
}
