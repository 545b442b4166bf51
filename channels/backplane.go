package channels

// Backplane links the brokers of several nodes: an event that is published at one is
// delivered by all. Its methods are safe for concurrent use.
//
// An implementation is given to a Broker by Options, and has its Feed. An event goes
// round: Broker.Publish checks it, and Send hands it to the engine, which brings it to
// every node, this one included; each node hands it to its Feed. By Feed.Followed and
// Feed.Interrupted the implementation says from which place on the feed has everything.
type Backplane interface {
	// Send hands an event that Broker.Publish has checked to the engine, within
	// bounded time. ev.Data is not kept. Receivers are those of this node.
	Send(channel string, ev Event) (Receipt, error)
	// Follow tells that this node has subscribers of a channel from now on. When
	// everything published there is being delivered already, and has been from
	// a certain Feed.Head on, it returns that and true; otherwise Feed.Followed
	// will tell. Unfollow tells that there are no subscribers any more. Both are
	// called under the broker's lock, so they must not wait, nor call the broker.
	Follow(channel string) (from uint64, followed bool)
	Unfollow(channel string)
	// Health returns why the engine cannot be reached, nil if it can.
	Health() error
}

// Pipeline is a Backplane whose engine takes many events without being waited for
// between them.
type Pipeline interface {
	Backplane
	// SendAll is Send for all of batch, in order, within the bounded time of one. It
	// sets Receipt and Err of each.
	SendAll(batch []*Publication)
}

// SendOne is the Send of a Pipeline: a batch of one. Safe for concurrent use.
func SendOne(p Pipeline, channel string, ev Event) (Receipt, error) {
	one := Publication{Channel: channel, Event: ev}
	p.SendAll([]*Publication{&one})
	return one.Receipt, one.Err
}

// FailAll sets why none of batch was sent.
func FailAll(batch []*Publication, err error) {
	for _, p := range batch {
		p.Err = err
	}
}
