package channels

import (
	"errors"
	"fmt"
	"time"
)

// An engine that keeps history numbers the messages of all channels in one order
// for all nodes, so that a client can resume at any of them. Its numbers are even, and
// stand in event ids as they are. A broker's own sequence, in which its gaps have places
// too, is such a number and a count of the gaps behind it: a gap's id is that of the
// message before, so who resumes there, on whatever node, is told again. Nodes of
// releases before gave gaps the odd numbers; such an id stands for the number below it.
//
// A node takes a channel over at a place in that order, up to which it has everything
// that it follows: first it is told of the place by Advance, then of the channel's
// history up to there by Fill, then by Followed that it has it. What has a higher
// number comes by DeliverAt, of all channels in order.

const (
	// MaxNumber is the highest that an engine may give, in twice the microseconds since
	// 1970 up to the year 2112.
	MaxNumber = 1<<53 - 1
	// countBits is what a sequence has for the count. Should there be more gaps behind
	// one number, and streams that come between them, the count goes on into the next
	// numbers: a message that has one of these comes too late, and is told as a gap.
	countBits = 12
)

// ErrNumber is what DeliverAt returns for a number that no engine gives.
var ErrNumber = errors.New("bad number of a message")

// sequence returns the place of the message that has a number.
func (b *Broker) sequence(number uint64) uint64 {
	if !b.opts.Numbered {
		return number
	}
	return min(number, MaxNumber) >> 1 << countBits
}

// number returns that of the message at a place, or of the one before a gap there.
func (b *Broker) number(seq uint64) uint64 {
	if !b.opts.Numbered {
		return seq
	}
	return seq >> countBits << 1
}

// Kept is a message of an engine's history.
type Kept struct {
	Seq   uint64
	Event Event // which must pass Check
	Age   time.Duration
}

// SetEpoch tells the epoch of the engine's history, and a number that it has reached.
// When that is another epoch than before, the history is gone: subscribers are told so
// by a gap event, and it returns true.
func (b *Broker) SetEpoch(epoch string, number uint64) (restarted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.epoch
	b.epoch = epoch
	if before == "" || before == epoch {
		return false
	}
	// Subscribers that have come from other nodes may be ahead, and are to be told too.
	b.newest = max(b.newest, min(b.ahead, b.sequence(number)))
	b.seq, b.ahead = max(b.seq, b.newest), 0
	for _, c := range b.channels {
		b.clear(c)
		c.evicted = b.seq
		if c.subscribers > 0 {
			b.postGap(c, GapRestart)
		}
	}
	for _, c := range b.channels {
		b.settle(c)
	}
	return true
}

// Advance tells that everything up to a number has been delivered, of the channels that
// are followed.
func (b *Broker) Advance(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = max(b.newest, b.sequence(number))
	b.seq = max(b.seq, b.newest)
}

// Fill sets the history of a channel up to the place of Advance, in order. What was
// published up to evicted may not be in it. It returns false, having done nothing,
// when nobody subscribes to the channel any more.
func (b *Broker) Fill(channel string, evicted uint64, kept []Kept) bool {
	if b.payload(channel) == Unstreamed {
		kept = nil
	}
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
	c.evicted = b.sequence(evicted)
	if !c.ready {
		c.gap = 0 // the engine has what this node may have lost
	}
	for i, k := range kept {
		b.keep(b.message(c, wires[i], b.sequence(k.Seq), k.Age))
	}
	return true
}

// DeliverAt is Deliver for an event that has a number. One that is not above all before
// has been delivered already, and is passed over.
func (b *Broker) DeliverAt(channel string, ev Event, number uint64) (Receipt, error) {
	if err := checkNumber(number); err != nil {
		return Receipt{}, err
	}
	return b.deliver(b.delivery(channel, ev, b.sequence(number)), forLoops)
}

// checkNumber returns why number is none of a message.
func checkNumber(number uint64) error {
	if number>>1 == 0 || number > MaxNumber {
		return fmt.Errorf("%w: %d, want 2 to %d", ErrNumber, number, MaxNumber)
	}
	return nil
}

// clear drops the log of c. Called with mu held.
func (b *Broker) clear(c *Channel) {
	for c.log.n > 0 {
		b.kept.remove(c.log.pop())
	}
	b.excess.remove(c)
}
