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
	on    *Channel     // that has no room
	done  chan Receipt // holds one
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
	if c == nil || !b.fullLocked(c, a, w) {
		r := b.placeLocked(c, a)
		above := b.kept.size > b.opts.MaxKept
		b.mu.Unlock()
		if a.heard {
			b.hear()
		}
		if above { // since it is as large as a great many of the oldest
			b.shed()
		}
		return r, nil
	}
	if w == forNothing {
		b.mu.Unlock()
		return Receipt{}, ErrBusy
	}
	p := &publisher{*a, w, c, make(chan Receipt, 1)}
	b.line = append(b.line, p)
	b.mu.Unlock()
	timer := time.NewTimer(b.opts.PublishTimeout)
	defer timer.Stop()
	select {
	case r := <-p.done:
		b.hear()
		b.shed()
		return r, nil
	case <-timer.C:
		defer b.hear()
		return b.giveUp(p)
	}
}

// giveUp takes p out of the line.
func (b *Broker) giveUp(p *publisher) (Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.line, p)
	if i < 0 {
		return <-p.done, nil // it had its turn at the last moment
	}
	b.line = slices.Delete(b.line, i, i+1)
	c := b.channels[p.channel]
	if c != nil && b.fullLocked(c, &p.Arrival, forLoops) {
		return Receipt{}, ErrBusy
	}
	return b.placeLocked(c, &p.Arrival), nil // readers have had their time
}

// fullLocked tells whether c has no room for an arrival.
func (b *Broker) fullLocked(c *Channel, a *Arrival, w waits) bool {
	needed := false // by readers
	for i := range c.loops {
		l := &c.loops[i]
		if l.unserved >= channelShare || l.inbox.unserved >= maxUnserved {
			return true
		}
		needed = needed || l.need != 0
	}
	return needed && w == forReaders && b.pushesOutLocked(c, len(a.wire)+b.idSize+messageOverhead)
}

// wakePublishersLocked places the waiting arrivals that have room now, in the order in which
// they came, and wakes their publishers. Its time is that of the line, in which every connection of a
// publisher is at most once.
func (b *Broker) wakePublishersLocked() {
	if len(b.line) == 0 {
		return
	}
	var full *Channel // which the publisher before waits for: most often they are of one
	left := b.line[:0]
	for _, p := range b.line {
		if p.on != full || full == nil {
			c := b.channels[p.channel]
			if c == nil || !b.fullLocked(c, &p.Arrival, p.waits) {
				full = nil
				p.done <- b.placeLocked(c, &p.Arrival)
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
