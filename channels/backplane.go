package channels

// Backplane links the brokers of several nodes: what is published at one is
// delivered by all. Its methods are safe for concurrent use.
//
// An implementation is given to a Broker by Options and gives it back what the
// engine between the nodes delivers, by Broker.Deliver, in one order for each
// channel.
type Backplane interface {
	// Publish hands a valid event to the engine, within bounded time. ev.Data is
	// not kept. Receivers are those of this node.
	Publish(channel string, ev Event) (Receipt, error)
	// Follow and Unfollow tell that this node has subscribers of a channel from
	// now on, or none any more. They are called under the broker's lock, so they
	// must not wait, nor call the broker.
	Follow(channel string)
	Unfollow(channel string)
	// Health returns why the engine cannot be reached, nil if it can.
	Health() error
}

// alone is the backplane of a node without others: what is published there is
// delivered there.
type alone struct{ *Broker }

func (a alone) Publish(channel string, ev Event) (Receipt, error) {
	return a.Deliver(channel, ev, Position{})
}
func (alone) Follow(string)   {}
func (alone) Unfollow(string) {}
func (alone) Health() error   { return nil }

// Health returns why events of other nodes may be missing, nil if they are not.
// Safe for concurrent use.
func (b *Broker) Health() error { return b.backplane.Health() }
