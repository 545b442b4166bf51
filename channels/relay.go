package channels

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"millrace/internal/handover"
)

// ErrRelay is wrapped by errors of Relay for what no predecessor's broker says.
var ErrRelay = errors.New("the running process says what makes no sense")

// successor is what a broker has that has yet to take over. It has the order of its
// predecessor, and gives no place by itself.
type successor struct {
	parts    handover.Parts
	channel  *Channel      // of the messages that come
	headed   bool          // the head has come
	version  int           // of the parts
	restored chan struct{} // closed when all of the history has
	room     chan struct{} // has a token when loops may have room
	awaited  []awaited
}

// awaited is a place that somebody waits for, and is closed when the order has reached it.
type awaited struct {
	seq     uint64
	reached chan struct{}
}

func newSuccessor() *successor {
	return &successor{restored: make(chan struct{}), room: make(chan struct{}, 1)}
}

// makeRoom tells that loops may have room.
func (s *successor) makeRoom() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// isRestored tells whether all of the history has come.
func (s *successor) isRestored() bool {
	select {
	case <-s.restored:
		return true
	default:
		return false
	}
}

// Restored is closed when all of the predecessor's history has come, so that loops can be
// attached. Only for a successor's broker that has yet to take over.
func (b *Broker) Restored() <-chan struct{} { return b.successor.restored }

// Relay takes in what the predecessor's tap sends, in its order and by one goroutine at a
// time, until TakeOver or GoOn. It waits for loops that have no room, at most
// Options.PublishTimeout. After an error the broker is of no use.
func (b *Broker) Relay(payload []byte) error {
	s := b.successor
	if s == nil {
		return fmt.Errorf("%w: a message after the switch", ErrRelay)
	}
	s.parts.Add(payload)
	for {
		kind, record, ok, err := s.parts.Next()
		if !ok || err != nil {
			return err
		}
		if err := b.apply(kind, record); err != nil {
			return err
		}
	}
}

// apply takes in one part.
func (b *Broker) apply(kind handover.PartKind, record []byte) error {
	s := b.successor
	r := handover.NewReader(s.version, record)
	if !s.headed && kind != handover.PartHead {
		return fmt.Errorf("%w: part %d before the head", ErrRelay, kind)
	}
	var err error
	switch kind {
	case handover.PartHead:
		err = b.restoreHead(r)
	case handover.PartForgotten:
		err = b.restorePage(r)
	case handover.PartChannel:
		err = b.restoreChannel(r)
	case handover.PartKept:
		err = b.restoreMessage(r)
	case handover.PartRestored:
		b.endRestore()
	case handover.PartMessage:
		err = b.relayMessage(r)
	case handover.PartAdvance:
		err = b.relayPlace(r)
	case handover.PartGap:
		err = b.relayGap(r)
	case handover.PartForget:
		err = b.relayForgotten(r)
	default:
		if kind < handover.OptionalPart {
			err = fmt.Errorf("%w: part %d, which this version does not know", ErrRelay, kind)
		}
	}
	return cmp.Or(r.Err(), err)
}

// relayMessage places a message as the predecessor has placed it, once there is room.
func (b *Broker) relayMessage(r *handover.Reader) error {
	var p handover.PlacedMessage
	p.Parse(r)
	if err := CheckName(p.Channel); r.Err() != nil || err != nil {
		return err
	}
	var timer *time.Timer
	for {
		b.mu.Lock()
		c := b.channels[string(p.Channel)]
		if c != nil {
			if full, _ := c.crowded(); full {
				b.mu.Unlock()
				if timer == nil {
					timer = time.NewTimer(b.opts.PublishTimeout)
					defer timer.Stop()
				}
				select {
				case <-b.successor.room:
					continue
				case <-timer.C:
					return ErrBusy
				}
			}
		}
		defer b.mu.Unlock()
		return b.relayLocked(c, &p)
	}
}

// relayLocked places a message on c, which is nil if there is no such channel. The streams of
// loops that are on their way may want it, so it is kept in any case.
func (b *Broker) relayLocked(c *Channel, p *handover.PlacedMessage) error {
	if err := b.reachLocked(handover.Place{Seq: p.Seq, Newest: p.Seq}); err != nil {
		return err
	}
	if c == nil {
		c = b.openLocked(string(p.Channel))
	}
	c.published++
	if t := b.texts[c]; t != nil {
		t.begin(uint32(c.published) + 1) // the message has no place in the text
	}
	m := &Message{Seq: p.Seq, Channel: c, Wire: bytes.Clone(p.Wire), Evicted: c.evicted}
	if b.opts.HistoryTTL > 0 {
		m.born = b.clock()
	}
	if b.successor.isRestored() {
		b.handOutLocked(m)
	} else {
		b.holdLocked(m)
	}
	return nil
}

// reachLocked sets the place that the order has reached.
func (b *Broker) reachLocked(p handover.Place) error {
	if p.Seq < b.seq || p.Newest < b.newest {
		return fmt.Errorf("%w: the place %d after %d", ErrRelay, p.Seq, b.seq)
	}
	b.seq, b.newest = p.Seq, p.Newest
	b.successor.reach(b.seq)
	return nil
}

// reach wakes those that wait for places up to seq.
func (s *successor) reach(seq uint64) {
	s.awaited = slices.DeleteFunc(s.awaited, func(a awaited) bool {
		if a.seq > seq {
			return false
		}
		close(a.reached)
		return true
	})
}

// awaitPlace waits until relays have reached a place.
func (b *Broker) awaitPlace(seq uint64) error {
	b.mu.Lock()
	if b.successor == nil || b.seq >= seq {
		b.mu.Unlock()
		return nil
	}
	a := awaited{seq, make(chan struct{})}
	b.successor.awaited = append(b.successor.awaited, a)
	b.mu.Unlock()
	timer := time.NewTimer(b.opts.PublishTimeout)
	defer timer.Stop()
	select {
	case <-a.reached:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: the place %d is not reached in %v", ErrRelay, seq, b.opts.PublishTimeout)
	}
}

// relayPlace sets how far the order has come.
func (b *Broker) relayPlace(r *handover.Reader) error {
	var p handover.Place
	p.Parse(r)
	if r.Err() != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reachLocked(p)
}

// relayGap tells of a gap where the predecessor does.
func (b *Broker) relayGap(r *handover.Reader) error {
	var g handover.PlacedGap
	g.Parse(r)
	if r.Err() != nil {
		return nil
	}
	if err := CheckName(g.Channel); err != nil {
		return err
	}
	if int(g.Why) >= Gaps {
		return fmt.Errorf("%w: a gap for the reason %d", ErrRelay, g.Why)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.reachLocked(g.Place); err != nil {
		return err
	}
	c := b.channels[string(g.Channel)]
	if c == nil { // its streams may be on their way
		c = b.openLocked(string(g.Channel))
	}
	b.tellGapLocked(c, g.Seq, Gap(g.Why))
	return nil
}

// relayForgotten notes that a channel has closed. It stays here if it is there.
func (b *Broker) relayForgotten(r *handover.Reader) error {
	var f handover.Forgotten
	f.Parse(r)
	if r.Err() != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[string(f.Channel)]; c == nil {
		b.forgotten.add(string(f.Channel), f.Seq)
	} else if f.Seq > c.newest() { // it had messages that have not come
		b.loseAllLocked(c, f.Seq)
	}
	return nil
}
