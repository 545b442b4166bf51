package channels

import (
	"errors"
	"fmt"

	"millrace/internal/handover"
)

// ErrFrozen is returned by Publish, PublishAll and Tell while publishers go over to another
// process: the event has not been published, and is to be published there.
var ErrFrozen = errors.New("another process takes over: publish again")

// setStoppedLocked sets whether arrivals have room at all, and lets those that wait go on if
// they have.
func (b *Broker) setStoppedLocked() {
	b.stopped = b.frozen.Load() || b.tap != nil && b.tap.isFull()
	b.wakePublishersLocked()
}

// Freeze has Publish, PublishAll and Tell return ErrFrozen, at once and without effect, also
// those that wait for room. What a backplane brings waits. When it returns, nothing gets a
// place until Thaw, and no observer hears anything any more. It returns the place to switch
// at, or why there can be no switch. Events that are on their way to an engine are no concern
// of it.
func (b *Broker) Freeze() (handover.Switch, error) {
	s, err := b.freeze()
	b.hear()
	return s, err
}

func (b *Broker) freeze() (handover.Switch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frozen.Store(true)
	b.stopped = true
	left := b.line[:0]
	for _, p := range b.line {
		if p.waits == forReaders {
			p.done <- result{err: ErrFrozen}
		} else {
			left = append(left, p)
		}
	}
	clear(b.line[len(left):])
	b.line = left
	var err error
	if b.tap != nil {
		err = b.tap.err
	}
	return handover.Switch{Place: handover.Place{Seq: b.seq, Newest: b.newest}, Ahead: b.ahead}, err
}

// Thaw undoes Freeze.
func (b *Broker) Thaw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frozen.Store(false)
	b.setStoppedLocked()
}

// TakeOver has a successor's broker number by itself from the predecessor's place s on, which
// it must have reached. From then on it is a broker like any.
func (b *Broker) TakeOver(s handover.Switch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.successor == nil:
		return fmt.Errorf("%w: this broker is nobody's successor", ErrRelay)
	case !b.successor.isRestored() || s.Seq != b.seq || s.Newest != b.newest:
		return fmt.Errorf("%w: a switch at %d, but only %d has been reached", ErrRelay, s.Seq, b.seq)
	}
	b.ahead = max(b.ahead, s.Ahead)
	b.takeOverLocked()
	return nil
}

// unrelayed bounds how many places the predecessor had given that were not relayed when it died:
// well above what a tap lets wait.
const unrelayed = 1 << 20

// GoOn is TakeOver when the predecessor is dead. It goes on at a place above all that the
// predecessor may have given: streams may have had events that were not relayed, of which no
// publisher had a reply. Where the engine of a backplane keeps no history, all channels are
// told a gap.
func (b *Broker) GoOn() error {
	b.mu.Lock()
	if b.successor == nil || !b.successor.isRestored() {
		b.mu.Unlock()
		return fmt.Errorf("%w: the history is not complete", ErrRelay)
	}
	if !b.opts.Numbered {
		b.seq += unrelayed
		b.newest = b.seq
	}
	b.successor.reach(b.seq)
	b.takeOverLocked()
	b.mu.Unlock()
	if !b.Linked() || b.opts.Numbered {
		return nil
	}
	var page []string
	for after, more := "", true; more; {
		page, after, more = b.names(page[:0], after)
		b.Feed().Interrupted(page...)
	}
	return nil
}

func (b *Broker) takeOverLocked() {
	b.successor = nil
	b.frozen.Store(false)
	b.releaseLocked()
}

// unsettled is how far the channels have been settled since all messages were held: until
// then they may keep more than they should. Guarded by Broker.mu.
type unsettled struct {
	is   bool
	next string
}

// releaseLocked has messages be dropped as ever, after an upgrade.
func (b *Broker) releaseLocked() {
	b.heldAbove = noneHeld
	b.unsettled = unsettled{is: true}
	b.setStoppedLocked()
	b.setAlarmLocked(true)
}

// settleOnLocked settles some channels. It returns true if there are more.
func (b *Broker) settleOnLocked(budget int) (more bool) {
	u := &b.unsettled
	if !u.is {
		return false
	}
	var part []*Channel
	b.ordered.from(u.next, func(c *Channel) bool {
		budget -= 1 + b.trimLocked(c, max(budget, 0))
		part = append(part, c)
		u.next, more = c.name, budget <= 0
		return !more
	})
	for _, c := range part { // which may close them, and is not for the midst of going through
		b.settleLocked(c)
	}
	u.is = more
	return more
}
