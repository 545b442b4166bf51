package channels

const (
	// worthShrinking is how many channels there have to have been for Broker.channels to
	// be made anew.
	worthShrinking = 4096
	// sliceOfMoves is how many channels move at a time, which takes up to 0.5 ms: a map
	// grows a part at a time, and its parts nearly all at the same time.
	sliceOfMoves = 8
)

// shrink is how Broker.channels gives memory back, since a map keeps the room of its
// best days: when a quarter is left, a new map is filled step by step, in the order of
// the names, and then takes its place. Guarded by Broker.mu.
type shrink struct {
	peak int // the most channels since the map was made
	next map[string]*Channel
	upTo string // the name of the last that has moved
}

// noteOpenedLocked tells that c has been added to Broker.channels.
func (b *Broker) noteOpenedLocked(c *Channel) {
	b.shrink.peak = max(b.shrink.peak, len(b.channels))
	if b.shrink.next != nil {
		b.shrink.next[c.name] = c
	}
}

// noteClosedLocked tells that c has been removed, and goes on with the new map.
func (b *Broker) noteClosedLocked(c *Channel) {
	if b.shrink.next != nil {
		delete(b.shrink.next, c.name)
	} else if b.shrink.peak < worthShrinking || len(b.channels) > b.shrink.peak/4 {
		return
	} else {
		b.shrink.next, b.shrink.upTo = make(map[string]*Channel), ""
		b.setAlarmLocked(true) // no other call may come
	}
	// One for one that goes: so it is done before all of the rest has gone, and no hold makes
	// the map grow twice.
	b.shrinkOnLocked(1)
}

// shrinkOnLocked moves some channels. It returns true if there are more.
func (b *Broker) shrinkOnLocked(budget int) (more bool) {
	s := &b.shrink
	if s.next == nil {
		return false
	}
	b.ordered.from(s.upTo, func(c *Channel) bool {
		if budget < 0 { // the first may have moved
			more = true
			return false
		}
		budget--
		s.next[c.name], s.upTo = c, c.name
		return true
	})
	if !more {
		b.channels = s.next
		*s = shrink{peak: len(b.channels)}
	}
	return more
}
