package channels

import "slices"

// What the backplane of a process that takes over needs of the feed. Until Broker.TakeOver it
// must place nothing: the order is that of the process before.

// Continue is Followed for channels that may be followed already: their subscribers go on, and
// are told nothing.
func (f Feed) Continue(from uint64, confirm func(name string) bool, names ...string) {
	b := f.broker
	for part := range slices.Chunk(names, lossSlice) {
		b.mu.Lock()
		for _, name := range part {
			if c := b.channels[name]; confirm(name) && c != nil && !c.followed {
				b.followedLocked(from, name)
			}
		}
		b.mu.Unlock()
	}
}

// Waiting returns those of some channels that have subscribers and are not followed.
func (f Feed) Waiting(names ...string) (waiting []string) {
	f.look(names, func(c *Channel, name string) {
		if c != nil && c.subscribers > 0 && !c.followed {
			waiting = append(waiting, name)
		}
	})
	return waiting
}

// Idle calls unfollow, under the broker's lock, for those of some channels that have no
// subscribers.
func (f Feed) Idle(unfollow func(name string), names ...string) {
	f.look(names, func(c *Channel, name string) {
		if c == nil || c.subscribers == 0 {
			unfollow(name)
		}
	})
}

// look calls each for channels, nil for one that there is not, in slices under the lock.
func (f Feed) look(names []string, each func(c *Channel, name string)) {
	b := f.broker
	for part := range slices.Chunk(names, lossSlice) {
		b.mu.Lock()
		for _, name := range part {
			each(b.channels[name], name)
		}
		b.mu.Unlock()
	}
}

// Tell is Broker.Tell.
func (f Feed) Tell(data []byte) error { return f.broker.Tell(data) }

// Heard returns the channels that observers hear by name.
func (f Feed) Heard() (names []string) {
	b := f.broker
	for next, more := "", true; more; {
		b.mu.Lock()
		more = false
		left := lossSlice
		b.ordered.from(next, func(c *Channel) bool {
			if left--; left < 0 {
				next, more = c.name, true
				return false
			}
			if c.audience != nil {
				names = append(names, c.name)
			}
			return true
		})
		b.mu.Unlock()
	}
	return names
}
