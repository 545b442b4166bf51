package channels

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// An engine that keeps history numbers the messages of all channels in one order
// for all nodes, so that a client can resume at any of them. Its numbers are even, and
// stand in event ids as they are. A broker's own sequence, in which its gaps have places
// too, is such a number and a count of the gaps after it: a gap's id is that of the
// message before, so a client that resumes there, on any node, is told again. Nodes of
// releases before gave gaps the odd numbers; such an id stands for the number below it.
//
// A node takes a channel over at a place in that order, up to which it has everything
// that it follows. Advance tells the place, Fill then brings the channel's history up to
// there, and Followed makes the channel followed. Messages with a higher number come by
// DeliverAt, of all channels in order.

const (
	// MaxNumber is the highest that an engine may give, in twice the microseconds since
	// 1970 up to the year 2112.
	MaxNumber = 1<<53 - 1
	// countBits is the number of bits for the count. Should there be more gaps after
	// one number, and streams that come between them, the count goes on into the next
	// numbers: a message that has one of these comes too late, and is told as a gap.
	countBits = 12
)

// ErrNumber is returned by DeliverAt for a number that no engine gives.
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
	Number uint64
	Event  Event
	Age    time.Duration
}

// SetEpoch tells the epoch of the engine's history, and a number that it has reached.
// When that is another epoch than before, the history is gone: subscribers are told so
// by a gap event, channel by channel, and it returns true. The kept messages of a channel
// may be read until its turn has come, with ids of the epoch before, and its gap follows.
// Nothing may be delivered meanwhile.
func (f Feed) SetEpoch(epoch string, number uint64) (restarted bool) {
	b := f.broker
	restarted = b.changeEpoch(epoch, number)
	more := restarted
	for next := ""; more; {
		next, more = b.restart(next)
	}
	return restarted
}

// changeEpoch returns whether there was another epoch.
func (b *Broker) changeEpoch(epoch string, number uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.epoch
	b.epoch = epoch
	if b.tap != nil && before != epoch {
		b.tap.fail(ErrRestarted)
	}
	if before == "" || before == epoch {
		return false
	}
	// Subscribers that have come from other nodes may be ahead, and are to be told too.
	b.newest = max(b.newest, min(b.ahead, b.sequence(number)))
	b.seq, b.ahead = max(b.seq, b.newest), 0
	return true
}

// restart gives some channels, from a name on, the gap of another epoch. It returns the
// name from which on there may be more.
func (b *Broker) restart(from string) (next string, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := make([]*Channel, 0, lossSlice)
	b.ordered.from(from, func(c *Channel) bool {
		if more = len(part) == cap(part); more {
			next = c.name
			return false
		}
		part = append(part, c)
		return true
	})
	left := sliceOfWork
	for _, c := range part {
		left -= b.clearLocked(c, left)
		if c.log.count() > 0 {
			b.settleLocked(c)
			return c.name, true
		}
		c.evicted = b.seq
		if c.subscribers > 0 {
			b.postGapLocked(c, GapRestart)
		}
		b.settleLocked(c)
	}
	return next, more
}

// Advance tells that everything up to a number has been delivered, of the channels that
// are followed.
func (f Feed) Advance(number uint64) {
	b := f.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = max(b.newest, b.sequence(number))
	b.seq = max(b.seq, b.newest)
	if b.tap != nil {
		b.tap.advance()
	}
}

// Fill sets the history of a channel up to the place of Advance, in order. Messages up to
// evicted may be missing in it, and so are those that cannot be delivered. It returns
// false if the channel has no subscribers any more, or is another one meanwhile: then it
// is to be filled anew. A reader that reads a channel while it is filled may lack some of
// it, and is told by Followed.
func (f Feed) Fill(channel string, evicted uint64, kept []Kept) bool {
	b := f.broker
	wires := make([][]byte, 0, len(kept))
	kept = slices.DeleteFunc(slices.Clone(kept), func(k Kept) bool {
		a, err := f.Prepare(channel, k.Event, 0)
		switch {
		case err != nil:
			evicted = max(evicted, k.Number)
			return true
		case a.wire == nil: // no stream can have it
			return true
		}
		wires = append(wires, a.wire)
		return false
	})
	c := b.beginFill(channel, evicted)
	for c != nil && len(kept) > 0 {
		n := 0
		for size := 0; n < len(kept) && n < lossSlice && size < sliceOfBytes; n++ {
			size += len(wires[n])
		}
		if !b.fillOn(c, wires[:n], kept[:n]) {
			return false
		}
		wires, kept = wires[n:], kept[n:]
	}
	return c != nil
}

// sliceOfBytes is how large the messages are that Fill keeps at a time, since they may
// push out a great many small ones.
const sliceOfBytes = 64 << 10

// beginFill drops the kept messages of a channel, and returns nil if it has no subscribers.
func (b *Broker) beginFill(channel string, evicted uint64) *Channel {
	for {
		b.mu.Lock()
		c := b.channels[channel]
		if c == nil || c.subscribers == 0 { // it may be forgotten at any time
			b.mu.Unlock()
			return nil
		}
		b.clearLocked(c, sliceOfWork)
		done := c.log.count() == 0
		if done {
			c.evicted = b.sequence(evicted)
			if !c.followed {
				c.gap = 0 // the engine has what this node may have lost
			}
		}
		b.settleLocked(c)
		if done && b.tap != nil {
			b.tap.cleared(c)
		}
		b.mu.Unlock()
		if done {
			return c
		}
	}
}

// fillOn keeps messages of c, newer than all of it, and returns false if it was forgotten.
func (b *Broker) fillOn(c *Channel, wires [][]byte, kept []Kept) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels[c.name] != c {
		return false
	}
	for i, k := range kept {
		m := b.messageLocked(c, wires[i], b.sequence(k.Number), k.Age)
		b.retainLocked(m)
		if b.tap != nil {
			b.tap.filled(m)
		}
	}
	return true
}

// checkNumber returns why number is none of a message.
func checkNumber(number uint64) error {
	if number>>1 == 0 || number > MaxNumber {
		return fmt.Errorf("%w: %d, want 2 to %d", ErrNumber, number, MaxNumber)
	}
	return nil
}

// clearLocked drops the oldest messages of c, most of them at most, and returns how many. The
// channel is to be settled.
func (b *Broker) clearLocked(c *Channel, most int) (n int) {
	for ; n < most && c.log.count() > 0; n++ {
		b.popLocked(c)
	}
	return n
}
