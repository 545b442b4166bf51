package ticket

import (
	"slices"

	"millrace/internal/handover"
)

// travelSlice is how many families travel together, and are noted under one hold of the lock.
const travelSlice = 2048

// Travel hands send what a process that takes over has to know, in pieces: the key, if it was
// drawn, and which tickets have been opened. What is opened from now on is announced. Safe for
// concurrent use.
func (t *Tickets) Travel(send func(handover.Beside) error) error {
	floor, tables := t.spent.tables()
	if err := send(handover.Beside{TicketKey: t.keys.Load().Drawn(), SpentFloor: floor}); err != nil {
		return err
	}
	for i, table := range tables {
		part := handover.SpentTickets{Table: uint32(i), Began: table.began, Until: table.until, Floor: table.floor}
		families := make([]handover.SpentFamily, 0, travelSlice)
		for f, generation := range table.last {
			if families = append(families, handover.SpentFamily{Family: f, Generation: generation}); len(families) < travelSlice {
				continue
			}
			part.Families = families
			if err := send(handover.Beside{Spent: []handover.SpentTickets{part}}); err != nil {
				return err
			}
			families = families[:0]
		}
		if part.Families = families; len(families) > 0 {
			if err := send(handover.Beside{Spent: []handover.SpentTickets{part}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Follow takes in what Travel of the process before has handed out. now is in seconds since
// 1970.
func (t *Tickets) Follow(b *handover.Beside, now int64) error {
	if len(b.TicketKey) > 0 {
		keys, err := t.keys.Load().After(b.TicketKey)
		if err != nil {
			return err
		}
		t.keys.Store(keys)
	}
	t.spent.follow(b, now)
	return nil
}

// tables returns the floor, and all tables with something in them, the oldest first: the
// young one begins anew. Nothing is written to them any more.
func (s *spent) tables() (floor int64, tables []table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young.last) > 0 {
		s.setAside()
	}
	return s.floor, slices.Clone(s.old)
}

// follow notes families of the process before, which has put them into tables by their age.
func (s *spent) follow(b *handover.Beside, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = max(s.floor, b.SpentFloor)
	for _, part := range b.Spent {
		if part.Until <= now {
			continue
		}
		t := s.before(part)
		for _, f := range part.Families {
			if last, known := s.last(f.Family); !known || last < f.Generation {
				t.last[f.Family] = f.Generation
			}
		}
	}
	s.forget(now)
}

// before returns the old table for a part of what travels. Called with mu held.
func (s *spent) before(part handover.SpentTickets) *table {
	i := slices.IndexFunc(s.old, func(t table) bool { return t.came == part.Table+1 })
	if i < 0 {
		i = 0
		for i < len(s.old) && s.old[i].came != 0 && s.old[i].came < part.Table+1 {
			i++
		}
		s.old = slices.Insert(s.old, i, table{last: make(map[family]uint32), began: part.Began, came: part.Table + 1})
	}
	t := &s.old[i]
	t.until, t.floor = max(t.until, part.Until), max(t.floor, part.Floor)
	return t
}
