package channels

import "time"

// placeLocked gives an arrival on c, which is nil if there is no such channel, its place in
// the order.
func (b *Broker) placeLocked(c *Channel, a *Arrival) Receipt {
	r := b.orderLocked(c, a)
	if b.tap != nil {
		b.tap.placed(a)
	}
	return r
}

// orderLocked is placeLocked on this node alone.
func (b *Broker) orderLocked(c *Channel, a *Arrival) Receipt {
	seq := a.seq
	switch {
	case seq == 0:
		seq = b.seq + 1
	case seq <= b.newest:
		return Receipt{}
	case seq <= b.seq: // gaps have taken its place, see countBits
		b.newest = seq
		b.loseLocked(a.channel, GapBackplane)
		return Receipt{}
	}
	b.seq, b.newest = seq, seq
	b.placed++
	heard := b.tellLocked(c, a)
	if a.wire == nil {
		if c != nil {
			heard += int(c.subscribers)
		}
		return Receipt{Receivers: heard}
	}
	if c == nil {
		if b.opts.History == 0 {
			b.forgetLocked(a.channel, b.seq)
			return Receipt{Receivers: heard}
		}
		c = b.openLocked(a.channel)
	}
	b.postLocked(c, a)
	r := Receipt{Receivers: int(c.subscribers) + heard, Seq: b.number(seq)}
	if b.opts.Numbered {
		r.Epoch = b.epoch
	}
	return r
}

// postLocked makes a message with the sequence b.seq of an arrival, and hands it to the
// loops that listen to c.
func (b *Broker) postLocked(c *Channel, a *Arrival) {
	c.published++
	if len(c.loops) == 0 && b.opts.History == 0 { // it is for observers alone, and heard
		c.evicted = b.seq
		return
	}
	m := b.messageLocked(c, a.wire, b.seq, 0)
	if c.texted {
		b.formLocked(c, m, completeAlone(a.alone, m, len(a.wire)))
	}
	b.handOutLocked(m)
}

// handOutLocked keeps a new message, and posts it to the loops that listen to its channel.
func (b *Broker) handOutLocked(m *Message) {
	c := m.Channel
	b.retainLocked(m)
	m.Evicted = c.evicted
	size := m.size()
	for i := range c.loops {
		l := &c.loops[i]
		if l.inbox.moved {
			continue
		}
		l.unserved += int32(size)
		l.inbox.unserved += size
		if l.inbox.post(m) {
			b.mu.wakeLater(l.inbox)
		}
	}
}

// messageLocked makes a message of wire, which lacks the id and the blank line, and which
// was published some time ago.
func (b *Broker) messageLocked(c *Channel, wire []byte, seq uint64, ago time.Duration) *Message {
	if b.opts.History > 0 {
		wire = appendIDLine(wire, b.epoch, b.number(seq))
	}
	m := &Message{Seq: seq, Channel: c, Wire: append(wire, '\n')}
	if b.opts.HistoryTTL > 0 {
		m.born = b.clock() - ago
	}
	return m
}
