package link

import "slices"

// A keeper of a successor recovers from its begin to the switch: what comes after the number
// that the broker had then is missed, and most of it the broker gets from the predecessor. At
// the switch the rest is delivered, and then the session is like any other.

// pruneFrom is how many bytes of messages are missed before those are looked for that the
// broker has got from the predecessor.
const pruneFrom = 1 << 20

// prune forgets missed messages that the predecessor has handed on. The messages that are left
// may double before it looks again.
func (k *Keeper) prune() {
	if k.size > max(2*k.pruned, pruneFrom) && k.holds("") {
		k.passOver(k.Feed.Head())
		k.pruned = k.size
	}
}

// passOver forgets missed messages up to a number.
func (k *Keeper) passOver(number uint64) {
	k.missed = slices.DeleteFunc(k.missed, func(m Message) bool { return m.Number <= number })
	k.size = 0
	for _, m := range k.missed {
		k.size += len(m.Event.Data)
	}
}

// takeOver delivers what the predecessor has not. Channels that nobody followed there are
// filled from the engine's history, as ever.
func (k *Keeper) takeOver() {
	k.restarted = k.Feed.SetEpoch(k.epoch, k.first)
	head := k.Feed.Head()
	k.passOver(head)
	for channel, number := range k.lost {
		if number > head && !k.restarted {
			k.missed = append(k.missed, lostUpTo(channel, number))
		}
	}
	for _, s := range k.coming { // which have only what is newer than the session
		for _, channel := range s.Channels {
			k.Set.Again(channel)
		}
	}
	k.coming = nil
	k.makeUp()
	all, ready, refused := k.Set.Survey()
	k.held.on.Store(false)
	for _, name := range k.Feed.Waiting(ready...) {
		k.Set.Anew(name)
	}
	k.Feed.Refused(refused...)
	k.Feed.Idle(k.Set.Unfollow, all...)
}
