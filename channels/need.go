package channels

import "slices"

// A publisher on this node waits for readers that are behind and yet read fast: a burst
// above the backlog would lap them otherwise, only for them to come back at once. Their
// loop says which readers these are, and which messages they need (Inbox.Need). A delivery
// that would push these out of the log waits, unless an engine has brought it.

// Need tells from which sequence on, 0 for none, the readers of c on the loop that owns
// the inbox need messages that publishers are not to push out. It returns true when publishers
// wait for them: then the loop is to tell whenever that changes.
func (in *Inbox) Need(c *Channel, from uint64) (awaited bool) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	i := c.find(in)
	if i < 0 {
		return false
	}
	c.loops[i].need = from
	b.wakePublishersLocked()
	if i = c.find(in); i < 0 {
		return false
	}
	a := &c.loops[i]
	a.asked = a.need > 0 && slices.ContainsFunc(b.line, func(p *publisher) bool { return p.on == c })
	return a.asked
}

// pushesOutLocked tells whether a message of that size would push messages out of the log
// that readers need, and asks their loops whether they still do.
func (b *Broker) pushesOutLocked(c *Channel, size int) (needed bool) {
	for i := range c.loops {
		a := &c.loops[i]
		if a.inbox.moved || a.need == 0 || b.pushedOutLocked(c, size) < a.need {
			continue
		}
		needed = true
		if !a.asked {
			a.asked = true
			a.inbox.ask(c)
			b.mu.wakeLater(a.inbox)
		}
	}
	return needed
}

// pushedOutLocked returns the sequence of the newest message that one of that size would push
// out of the log, 0 for none: see keep.
func (b *Broker) pushedOutLocked(c *Channel, size int) (seq uint64) {
	size += c.log.bytes()
	for i := 0; i < c.log.count() && i < sliceOfWork && c.log.count()-i+1 > b.opts.History && size > backlogBytes; i++ {
		m := c.log.at(i)
		size -= m.size()
		seq = m.Seq
	}
	return seq
}
