package channels

import "time"

// An engine that keeps history numbers the messages of all channels in one order
// for all nodes, so that a client can resume at any of them. Its numbers are even:
// those between are for what a broker itself has to say, by gap events.
//
// A node takes a channel over at a place in that order, up to which it has everything
// that it follows: first it is told of the place by Advance, then of the channel's
// history up to there by Fill, then by Followed that it has it. What has a higher
// number comes by DeliverAt, of all channels in order.

// Kept is a message of an engine's history.
type Kept struct {
	Seq   uint64
	Event Event // which must pass Check
	Age   time.Duration
}

// SetEpoch tells the epoch of the engine's history. When that is another one than
// before, the history is gone: subscribers are told so by a gap event.
func (b *Broker) SetEpoch(epoch string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.epoch
	b.epoch = epoch
	if before == "" || before == epoch {
		return
	}
	for _, c := range b.channels {
		b.clear(c)
		c.evicted = b.seq
		if c.subscribers > 0 {
			b.postGap(c, GapRestart)
		}
	}
	for _, c := range b.channels {
		b.trim(c)
	}
}

// Advance tells that everything up to seq has been delivered, of the channels that
// are followed.
func (b *Broker) Advance(seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq = max(b.seq, seq)
}

// Fill sets the history of a channel up to the place of Advance, in order. What was
// published up to evicted may not be in it. It returns false, having done nothing,
// when nobody subscribes to the channel any more.
func (b *Broker) Fill(channel string, evicted uint64, kept []Kept) bool {
	wires := make([][]byte, len(kept))
	for i, k := range kept {
		wires[i] = b.fields(channel, k.Event)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.channels[channel]
	if c == nil || c.subscribers == 0 { // it may be forgotten at any time
		return false
	}
	b.clear(c)
	c.evicted = evicted
	for i, k := range kept {
		b.keep(b.message(c, wires[i], k.Seq, k.Age))
	}
	return true
}

// DeliverAt is Deliver for an event that has the number seq. One that is not above
// all before has been delivered already, and is passed over.
func (b *Broker) DeliverAt(channel string, ev Event, seq uint64) (Receipt, error) {
	return b.deliver(b.delivery(channel, ev, seq), forLoops)
}

// clear drops the log of c. Called with mu held.
func (b *Broker) clear(c *Channel) {
	for c.log.n > 0 {
		b.kept.remove(c.log.pop())
	}
}
