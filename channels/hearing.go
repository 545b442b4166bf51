package channels

import "sync"

// hearings are the events that listeners have yet to hear, in the one order. They do not
// hear them under the broker's lock, which would be held for every one of them, but when
// it has been given up, by whoever published: Broker.hear. That returns when the event
// has been heard, so there are never more of them than publishers.
type hearings struct {
	turn  sync.Mutex // of who has them heard, so that all are in order. Taken before Broker.mu
	queue []audible  // guarded by Broker.mu
	spare []audible  // guarded by turn
}

// audible is an event that listeners hear, and who they are, with the pattern of each;
// neither list changes.
type audible struct {
	channel   string
	data      []byte // its publisher's, who waits
	listeners []Listener
	patterns  []matched
}

// matched is a pattern that an event fits, with those who listened with it then.
type matched struct {
	pattern   Pattern
	listeners []Listener
}

// tell has d heard on c, which is nil if there is no such channel, and then by the
// patterns that match. It returns the number of the latter, each of which receives it once
// more. Whoever publishes d calls hear afterwards. Called with mu held.
func (b *Broker) tell(c *Channel, d *delivery) (byPattern int) {
	a := audible{channel: d.channel, data: d.data}
	if c != nil {
		a.listeners = c.listeners()
	}
	b.patterns.add(&d.matches, d.channel)
	for _, h := range d.matches.heard {
		if n := len(h.listeners); n > 0 { // else all have left meanwhile
			a.patterns = append(a.patterns, matched{h.pattern, h.listeners})
			byPattern += n
		}
	}
	if d.heard = len(a.listeners)+byPattern > 0; d.heard {
		b.hearings.queue = append(b.hearings.queue, a)
	}
	return byPattern
}

// hear has everything heard that was told. When it returns, nobody hears it any more.
func (b *Broker) hear() {
	h := &b.hearings
	h.turn.Lock()
	defer h.turn.Unlock()
	b.mu.Lock()
	events := h.queue
	h.queue = h.spare[:0]
	b.mu.Unlock()
	for _, e := range events {
		for _, l := range e.listeners {
			l.Hear("", e.channel, e.data)
		}
		for _, m := range e.patterns {
			for _, l := range m.listeners {
				l.Hear(m.pattern, e.channel, e.data)
			}
		}
	}
	clear(events)
	h.spare = events
}
