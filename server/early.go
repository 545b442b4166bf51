package server

import "millrace/channels"

// A channel with few subscribers need not wait for the fan-out of one with many: its
// messages are served early, between two slices of the turn under way.
//
// The cursor of a stream says that it has everything up to there, of all of its channels. So
// only streams on one channel can be served early: a stream on several would be taken for
// having had the messages of the turn on the others. Nor can a channel that is part of the
// turn, or of which a message waits for one, since its messages have to stay in order; and
// none can while there is a gap to tell.

// few bounds the writes that serve messages early between two slices, and so the
// subscribers of a channel that can be served so: to a quarter of a slice.
const few = slice / 4

// early is the messages that are being served early.
type early struct {
	arrived []*channels.Message // as they came from the inbox
	turn    turn                // of those that are served early
	left    int                 // how much may still be written, in bytes, a write beginning with writeUnit
	served  []*channels.Message // those of them that need no turn any more
}

// takeIn takes the messages from the inbox. A message that has no room in the turn to come,
// or comes while one is under way, is served early if it can be, and else left to a later turn.
func (l *loop) takeIn(underWay bool) {
	e, t := &l.early, &l.turn
	e.arrived = l.inbox.Take(e.arrived)
	if len(e.arrived) == 0 {
		return
	}
	e.left = few * writeUnit
	if l.inbox.Gapped() { // asked for after the messages, as a turn does: it may be before one of them
		e.left = 0
	}
	room := 0
	if !underWay {
		room = turnBytes - sizeOf(t.taken, turnBytes)
	}
	for _, m := range e.arrived {
		i, ok := l.byChannel.m[m.Channel]
		switch {
		case !ok: // the last subscriber has left
			t.taken = append(t.taken, m)
		case room > 0 || !e.add(t, l.channels[i], m):
			l.channels[i].queued = m.Seq
			t.taken = append(t.taken, m)
			room -= len(m.Wire)
		case l.channels[i].multi > 0:
			t.taken = append(t.taken, m)
		default:
			e.served = append(e.served, m)
		}
	}
	l.serveEarly()
}

// add puts m among those that are served early, if it can be.
func (e *early) add(t *turn, ch *loopChannel, m *channels.Message) bool {
	if t.leaves(ch.queued) {
		return false
	}
	cost := len(ch.subscribers) * len(m.Wire)
	if e.turn.groupOf(ch) == nil {
		if ch.group != 0 {
			return false // it is part of the turn under way
		}
		cost += len(ch.subscribers) * writeUnit
	}
	if cost > e.left {
		return false
	}
	e.left -= cost
	e.turn.add(ch, m)
	return true
}

// serveEarly writes the messages that add has collected.
func (l *loop) serveEarly() {
	e := &l.early
	for i := range e.turn.groups {
		g := &e.turn.groups[i]
		g.encode()
		if !l.prepare(g) {
			g.gzip.encode(g.messages) // it does not wait
		}
	}
	for i := range e.turn.groups {
		g := &e.turn.groups[i]
		for id, ok := g.next(); ok; id, ok = g.next() {
			if s := l.at(id); s.channel != multiChannel {
				l.visit(s, &e.turn, g)
			}
		}
		if g.channel.multi == 0 { // else their turn will tell
			l.tellNeed(g)
		}
	}
	e.turn.release()
	if len(e.served) > 0 {
		l.inbox.Served(e.served)
		clear(e.served)
		e.served = e.served[:0]
	}
}

// sizeOf returns the size of the wire forms of messages, in bytes, and no more than most.
func sizeOf(messages []*channels.Message, most int) (size int) {
	for i := 0; i < len(messages) && size < most; i++ {
		size += len(messages[i].Wire)
	}
	return min(size, most)
}
