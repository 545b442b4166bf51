package channels

import (
	"slices"
	"time"
)

const (
	// maxUnserved is how much may wait for one loop, in bytes. Publishers wait
	// above it, so a flood of them is slowed to the speed of the slowest loop.
	maxUnserved = 1 << 20
	// channelShare is how much of that one channel may take, so that a flood of it
	// leaves room for the others.
	channelShare = maxUnserved / 2
)

// publisher is an arrival that waits until there is room.
type publisher struct {
	Arrival
	waits waits
	on    *Channel    // that has no room; nil if no channel has
	done  chan result // holds one
}

// result is what becomes of a publisher.
type result struct {
	Receipt
	err error
}

// end returns once observers have heard an event that was placed and, if its publisher waits
// for it while there is a tap, the successor has it.
func (b *Broker) end(a *Arrival, w waits) {
	if a.heard {
		b.hear()
	}
	if a.tap != nil && w == forReaders {
		a.tap.await(a.noted)
	}
}

// waits says for what an arrival waits.
type waits int

const (
	forNothing waits = iota
	forLoops         // that have no room
	forReaders       // that need messages which it would push out, too: see need.go
)

// line is the publishers that wait, in the order in which they came. Guarded by
// Broker.mu. Code that may make room calls Broker.wakePublishersLocked under the same hold
// of that lock. So whenever the lock is free, no publisher in the line could go; and a new
// publisher that finds room overtakes none that waits for the same.
type line []*publisher

// admit gives an arrival its place in the order, once there is room. It returns ErrBusy
// when that takes longer than Options.PublishTimeout, or at all if it does not wait.
func (b *Broker) admit(a *Arrival, w waits) (Receipt, error) {
	b.compressAlone(a)
	b.mu.Lock()
	c := b.channels[a.channel]
	if !b.fullLocked(c, a, w) {
		r := b.placeLocked(c, a)
		above := b.kept.size > b.opts.MaxKept
		b.mu.Unlock()
		if above { // since it is as large as a great many of the oldest
			b.shed()
		}
		if a.heard || a.tap != nil {
			b.end(a, w)
		}
		return r, nil
	}
	if w == forNothing || w == forReaders && b.frozen.Load() {
		b.mu.Unlock()
		if w == forReaders {
			return Receipt{}, ErrFrozen
		}
		return Receipt{}, ErrBusy
	}
	p := &publisher{*a, w, c, make(chan result, 1)}
	b.line = append(b.line, p)
	b.mu.Unlock()
	timer := time.NewTimer(b.opts.PublishTimeout)
	defer timer.Stop()
	select {
	case r := <-p.done:
		b.shed()
		if r.err != nil {
			return Receipt{}, r.err
		}
		b.end(&p.Arrival, w)
		return r.Receipt, nil
	case <-timer.C:
		r, err := b.giveUp(p)
		if err != nil {
			return Receipt{}, err
		}
		b.end(&p.Arrival, w)
		return r, nil
	}
}

// giveUp takes p out of the line.
func (b *Broker) giveUp(p *publisher) (Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.line, p)
	if i < 0 {
		r := <-p.done // it had its turn at the last moment
		return r.Receipt, r.err
	}
	b.line = slices.Delete(b.line, i, i+1)
	c := b.channels[p.channel]
	if b.fullLocked(c, &p.Arrival, forLoops) {
		return Receipt{}, ErrBusy
	}
	return b.placeLocked(c, &p.Arrival), nil // readers have had their time
}

// fullLocked tells whether c, which is nil if there is no such channel, has no room for an
// arrival.
func (b *Broker) fullLocked(c *Channel, a *Arrival, w waits) bool {
	if b.stopped || c == nil {
		return b.stopped
	}
	full, needed := c.crowded()
	return full || needed && w == forReaders && b.pushesOutLocked(c, len(a.wire)+b.idSize+messageOverhead)
}

// crowded tells whether a loop has no room for a message of c, and whether readers need some
// that are kept. Nobody waits for loops that have moved.
func (c *Channel) crowded() (full, needed bool) {
	for i := range c.loops {
		l := &c.loops[i]
		if l.inbox.moved {
			continue
		}
		if l.unserved >= channelShare || l.inbox.unserved >= maxUnserved {
			return true, false
		}
		needed = needed || l.need != 0
	}
	return false, needed
}

// wakePublishersLocked places the waiting arrivals that have room now, in the order in which
// they came, and wakes their publishers. Its time is that of the line, in which every connection of a
// publisher is at most once.
func (b *Broker) wakePublishersLocked() {
	if b.successor != nil {
		b.successor.makeRoom()
	}
	if len(b.line) == 0 || b.stopped {
		return
	}
	var full *Channel // which the publisher before waits for: most often they are of one
	left := b.line[:0]
	for _, p := range b.line {
		if p.on != full || full == nil {
			c := b.channels[p.channel]
			if !b.fullLocked(c, &p.Arrival, p.waits) {
				full = nil
				p.done <- result{Receipt: b.placeLocked(c, &p.Arrival)}
				continue
			}
			full = c
		}
		p.on = full
		left = append(left, p)
	}
	clear(b.line[len(left):])
	b.line = left
}
