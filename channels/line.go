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

// delivery is an event on its way to its place in the order.
type delivery struct {
	channel string
	data    []byte  // as it was published, for listeners
	wire    []byte  // for streams, without id and blank line; nil if the channel is Unstreamed
	seq     uint64  // that an engine has given it, or 0
	matches matches // patterns that hear it
	heard   bool    // it has been told to listeners, see Broker.hear
}

// publisher is a delivery that waits until there is room.
type publisher struct {
	delivery
	waits waits
	on    *Channel     // that has no room
	done  chan Receipt // holds one
}

// waits says what a delivery waits for.
type waits int

const (
	forNothing waits = iota
	forLoops         // that have no room
	forReaders       // that need what it would push out, too: see need.go
)

// line is the publishers that wait, in the order in which they came. Guarded by
// Broker.mu. Whatever may make room calls Broker.admit under the same hold of that
// lock. So whenever the lock is free, nobody in the line could go; and who comes and
// finds room overtakes nobody who waits for the same.
type line []*publisher

// deliver gives d its place in the order, once there is room. It returns ErrBusy
// when that takes longer than Options.PublishTimeout, or at all if d does not wait.
func (b *Broker) deliver(d delivery, w waits) (Receipt, error) {
	b.mu.Lock()
	full := b.full(&d, w)
	if full == nil {
		r := b.place(&d)
		above := b.kept.size > b.opts.MaxKept
		b.mu.Unlock()
		if d.heard {
			b.hear()
		}
		if above { // since d is as large as a great many of the oldest
			b.shed()
		}
		return r, nil
	}
	if w == forNothing {
		b.mu.Unlock()
		return Receipt{}, ErrBusy
	}
	p := &publisher{d, w, full, make(chan Receipt, 1)}
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
	if b.full(&p.delivery, forLoops) != nil {
		return Receipt{}, ErrBusy
	}
	return b.place(&p.delivery), nil // readers have had their time
}

// full returns the channel of d when it has no room for d, else nil. Called with mu
// held.
func (b *Broker) full(d *delivery, w waits) *Channel {
	c := b.channels[d.channel]
	if c == nil || !c.crowded() && (w != forReaders || !b.pushesOut(c, len(d.wire)+b.idSize+messageOverhead)) {
		return nil
	}
	return c
}

// admit places what waits and has room now, in the order of arrival. Called with mu
// held. Its time is that of the line, in which every connection of a publisher is at
// most once.
func (b *Broker) admit() {
	if len(b.line) == 0 {
		return
	}
	var full *Channel // which the publisher before waits for: most often they are of one
	left := b.line[:0]
	for _, p := range b.line {
		if p.on != full || full == nil {
			full = b.full(&p.delivery, p.waits)
		}
		if full != nil {
			p.on = full
			left = append(left, p)
			continue
		}
		p.done <- b.place(&p.delivery)
	}
	clear(b.line[len(left):])
	b.line = left
}
