package channels

import "sync"

// hearings are the events that observers have yet to hear, in the one order. Observers do
// not hear them under the broker's lock, which would be held for every one of them. The
// publisher has them heard after it has given the lock up (Broker.hear), and waits for that,
// so there are never more hearings than publishers.
type hearings struct {
	turn  sync.Mutex // of the publisher that has them heard, so that all are in order. Taken before Broker.mu
	queue []audible  // guarded by Broker.mu
	spare []audible  // guarded by turn
}

// audible is an event and the observers that hear it, by name or by a glob; neither list
// changes.
type audible struct {
	channel   string
	data      []byte // the publisher's, which waits
	observers []Observer
	globs     []matched
}

// matched is a glob that an event fits, with those that observed by it then.
type matched struct {
	glob      Glob
	observers []Observer
}

// tellLocked has an event heard on c, which is nil if there is no such channel, and then by the
// globs that match. It returns the number of the latter, each of which receives it once
// more. The caller that admits it calls hear afterwards.
func (b *Broker) tellLocked(c *Channel, e *Arrival) (byGlob int) {
	b.globs.add(&e.matches, e.channel)
	if (c == nil || c.audience == nil) && len(e.matches.heard) == 0 {
		return 0
	}
	a := audible{channel: e.channel, data: e.data}
	if c != nil {
		a.observers = c.observers()
	}
	for _, h := range e.matches.heard {
		if n := len(h.observers); n > 0 { // else all have left meanwhile
			a.globs = append(a.globs, matched{h.glob, h.observers})
			byGlob += n
		}
	}
	if e.heard = len(a.observers)+byGlob > 0; e.heard {
		b.hearings.queue = append(b.hearings.queue, a)
	}
	return byGlob
}

// hear has every event heard that was told. When it returns, no observer hears one any
// more.
func (b *Broker) hear() {
	h := &b.hearings
	h.turn.Lock()
	defer h.turn.Unlock()
	b.mu.Lock()
	events := h.queue
	h.queue = h.spare[:0]
	b.mu.Unlock()
	for _, e := range events {
		for _, o := range e.observers {
			o.Hear("", e.channel, e.data)
		}
		for _, m := range e.globs {
			for _, o := range m.observers {
				o.Hear(m.glob, e.channel, e.data)
			}
		}
	}
	clear(events)
	h.spare = events
}
