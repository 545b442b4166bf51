package channels

import "slices"

// Backplane links the brokers of several nodes: what is published at one is
// delivered by all. Its methods are safe for concurrent use.
//
// An implementation is given to a Broker by Options. It hands to Broker.Deliver
// what the engine between the nodes delivers, and says by Broker.Followed and
// Broker.Interrupted from where on that is everything.
type Backplane interface {
	// Publish hands an event that passed Broker.Check to the engine, within
	// bounded time. ev.Data is not kept. Receivers are those of this node.
	Publish(channel string, ev Event) (Receipt, error)
	// Follow tells that this node has subscribers of a channel from now on. When
	// everything published there is being delivered already, and has been since
	// a certain Broker.Head, it returns that and true; otherwise Broker.Followed
	// will tell. Unfollow tells that there are no subscribers any more. Both are
	// called under the broker's lock, so they must not wait, nor call the broker.
	Follow(channel string) (since uint64, ready bool)
	Unfollow(channel string)
	// Health returns why the engine cannot be reached, nil if it can.
	Health() error
}

// alone is the backplane of a node without others: what is published there is
// delivered there.
type alone struct{ *Broker }

func (a alone) Publish(channel string, ev Event) (Receipt, error) {
	return a.deliver(a.delivery(channel, ev, 0), forReaders)
}

func (alone) Follow(string) (uint64, bool) { return 0, true }
func (alone) Unfollow(string)              {}
func (alone) Health() error                { return nil }

// Health returns why events of other nodes may be missing, nil if they are not.
// Safe for concurrent use.
func (b *Broker) Health() error { return b.backplane.Health() }

// Head returns the sequence of the newest message, or the number of it.
func (b *Broker) Head() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.number(b.seq)
}

// lossSlice is how many channels are told of a gap under one hold of the lock.
const lossSlice = 128

// Followed tells that everything published on the channels after the sequence
// since is being delivered. Subscribers that wait for it can begin. Where there
// are some that do not wait, it is for the second time, and they are told what
// Interrupted tells. It is of the names that confirm, if given, returns true for: what
// that changes, and what Follow returns, changes together with the broker. It is called
// under the broker's lock, as Follow is.
func (b *Broker) Followed(since uint64, confirm func(name string) bool, names ...string) {
	for part := range slices.Chunk(names, lossSlice) {
		b.mu.Lock()
		for _, name := range part {
			if confirm == nil || confirm(name) {
				b.follow(since, name)
			}
		}
		b.mu.Unlock()
	}
}

// follow is Followed of one channel. Called with mu held.
func (b *Broker) follow(since uint64, name string) {
	c := b.channels[name]
	switch {
	case c == nil:
	case c.ready:
		b.permit(c)
		b.postGap(c, GapBackplane)
	default:
		c.lack(b.sequence(since))
		c.begin(&b.mu)
	}
}

// Refused tells that the engine will not deliver what is published on the channels.
// Subscribers that wait for it can begin, all with a gap until it is told otherwise
// by Followed; those that do not wait are told what Interrupted tells.
func (b *Broker) Refused(names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil || c.subscribers == 0 || c.refused {
			continue
		}
		c.refused = true
		b.refused++
		if c.ready {
			b.postGap(c, GapBackplane)
		} else {
			c.begin(&b.mu)
		}
	}
}

// permit tells that c is not refused, and returns whether it was. Called with mu held.
func (b *Broker) permit(c *Channel) bool {
	if !c.refused {
		return false
	}
	c.refused = false
	b.refused--
	return true
}

// Interrupted tells the subscribers of the channels, those to come included, by a
// gap event at this place in the order, that something may be missing before it.
func (b *Broker) Interrupted(names ...string) { b.Lost(GapBackplane, names...) }

// Lost is Interrupted for a reason.
func (b *Broker) Lost(why Gap, names ...string) {
	for part := range slices.Chunk(names, lossSlice) {
		b.mu.Lock()
		for _, name := range part {
			b.lose(name, why)
		}
		b.mu.Unlock()
	}
}
