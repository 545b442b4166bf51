package channels

import (
	"millrace/internal/handover"
)

// The broker calls these of its tap, with Broker.mu held, when something has happened that
// the successor has to know. What a channel has is sent when the walk comes by it; until
// then nothing of it is noted but that the order has gone on.

// note has a record sent. After Freeze there is nothing to be told: what still happens here,
// such as that a channel closes, is no concern of a successor, which may number already.
func (t *Tap) note(kind handover.PartKind, record handover.Record, size int) {
	if t.err != nil || t.broker.frozen.Load() {
		return
	}
	t.push(kind, record)
	if t.size += size + messageOverhead; t.isFull() {
		t.broker.setStoppedLocked()
	}
	t.wake()
}

// push puts a record into the queue.
func (t *Tap) push(kind handover.PartKind, record handover.Record) {
	t.queue = append(t.queue, relay{kind, record})
	t.noted++
}

// wake has Run look.
func (t *Tap) wake() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// isFull tells whether publishers have to wait. They need not where the successor has failed,
// up to the limit of what may be kept for taking streams back.
func (t *Tap) isFull() bool { return t.taken >= maxTaken || t.err == nil && t.size >= maxUntaken }

// fail ends what is noted: the upgrade cannot go on.
func (t *Tap) fail(err error) {
	if t.err == nil {
		t.err, t.queue = err, nil
	}
	t.broker.setStoppedLocked()
	t.wake()
}

// keep counts a message that is kept until Close.
func (t *Tap) keep(size int) {
	if t.taken += size; t.taken >= maxTaken {
		t.fail(ErrOverrun)
	}
}

// place returns the present one.
func (t *Tap) place() handover.Place {
	t.seq = t.broker.seq
	return handover.Place{Seq: t.broker.seq, Newest: t.broker.newest}
}

// placed notes an arrival that has just been placed.
func (t *Tap) placed(a *Arrival) {
	b := t.broker
	if b.seq == t.seq {
		return // it was passed over, or is noted as a gap
	}
	if a.wire == nil {
		t.advance()
		return
	}
	wire := a.wire
	if c := b.channels[a.channel]; c != nil && c.log.count() > 0 && c.log.at(c.log.count()-1).Seq == b.seq {
		wire = c.log.at(c.log.count() - 1).Wire
	} else {
		wire = append(wire, '\n') // without History, it has no id
	}
	t.keep(len(wire) + messageOverhead)
	if !t.walk.has(a.channel) {
		t.advance()
		return
	}
	t.note(handover.PartMessage, &handover.PlacedMessage{Seq: t.place().Seq, Channel: []byte(a.channel), Wire: wire}, len(wire))
	a.tap, a.noted = t, t.noted
}

// advance notes how far the order has come.
func (t *Tap) advance() {
	if n := len(t.queue); n > 0 && t.queue[n-1].kind == handover.PartAdvance {
		*t.queue[n-1].record.(*handover.Place) = t.place()
		return
	}
	place := t.place()
	t.note(handover.PartAdvance, &place, 0)
}

// gap notes the gap at the present place.
func (t *Tap) gap(name string, why Gap) {
	if t.walk.has(name) || t.broker.channels[name] == nil {
		t.note(handover.PartGap, &handover.PlacedGap{Place: t.place(), Channel: []byte(name), Why: uint8(why)}, 0)
	} else {
		t.advance()
	}
}

// forgot notes that a channel has closed.
func (t *Tap) forgot(name string, seq uint64) {
	if seq > 0 {
		t.note(handover.PartForget, &handover.Forgotten{Seq: seq, Channel: []byte(name)}, 0)
	}
}

// changed notes the state of a channel.
func (t *Tap) changed(c *Channel) {
	if t.walk.has(c.name) {
		t.note(handover.PartChannel, t.state(c), 0)
	}
}

// cleared notes that a channel has none of its messages any more: its history follows.
func (t *Tap) cleared(c *Channel) {
	t.walk.again(c)
	if t.walk.has(c.name) {
		state := t.state(c)
		state.Flags |= handover.ChannelCleared
		t.note(handover.PartChannel, state, 0)
	}
}

// filled notes a message of the engine's history.
func (t *Tap) filled(m *Message) {
	t.keep(m.size())
	if t.walk.has(m.Channel.name) {
		t.changed(m.Channel)
		t.note(handover.PartKept, t.kept(m), len(m.Wire))
	}
}

// left notes that a followed channel has no subscribers any more. It stays followed, since
// the successor may have some.
func (t *Tap) left(c *Channel) { t.unfollows[c.name] = true }

// rejoined notes that a channel has its first subscriber.
func (t *Tap) rejoined(c *Channel) {
	delete(t.unfollows, c.name)
	t.changed(c)
}

// unfollow does what was put off, a slice of it.
func (t *Tap) unfollow() {
	b := t.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	left := lossSlice
	for name := range t.unfollows {
		if left--; left < 0 {
			return
		}
		delete(t.unfollows, name)
		if c := b.channels[name]; c == nil || c.subscribers == 0 {
			b.unfollowLocked(name)
		}
	}
}

// state returns the state of a channel.
func (t *Tap) state(c *Channel) *handover.ChannelState {
	s := &handover.ChannelState{Name: []byte(c.name), Evicted: c.evicted, Gap: c.gap, Published: c.published, Why: uint8(c.why)}
	if c.followed && (c.subscribers > 0 || t.unfollows[c.name]) && t.broker.Linked() {
		s.Flags |= handover.ChannelFollowed
	}
	if c.refused {
		s.Flags |= handover.ChannelRefused
	}
	if c.unfollowed {
		s.Flags |= handover.ChannelUnfollowed
	}
	return s
}

// kept returns a message of the history.
func (t *Tap) kept(m *Message) *handover.KeptMessage {
	k := &handover.KeptMessage{Seq: m.Seq, Wire: m.Wire}
	if b := t.broker; b.opts.HistoryTTL > 0 {
		k.Age = int64(b.clock() - m.born)
	}
	return k
}
