package server

import (
	"cmp"
	"slices"
	"time"

	"millrace/channels"
)

// turnBytes bounds the messages that are sent out together, in bytes of their
// wire forms: about what a socket takes at once from a sender in a hurry.
const turnBytes = 128 << 10

// turn is a run of messages on its way to all of their receivers. Any message that is
// posted meanwhile waits for the next turn, and goes out together then.
type turn struct {
	taken    []*channels.Message // messages from the inbox that were not served early
	next     int                 // taken[:next] has had its turn, or has it now
	served   []*channels.Message // the part of taken whose turn it is
	messages []*channels.Message // the same, with the gaps between them
	gaps     []*channels.Message // those, if there are any
	merged   []*channels.Message // backs messages then
	end      uint64              // the sequence up to which messages is complete
	groups   []group             // by channel, those with subscribers here, the fewest first
	current  int                 // the group under way
	began    time.Duration       // its first write, in loop time
	// compressed is how long the loop has compressed in this turn.
	compressed time.Duration
}

// group is the part of a turn that belongs to one channel.
type group struct {
	channel *loopChannel
	batch
	// left is how many subscribers are to be visited, from the end of the list
	// down. A subscriber that leaves moves another only to a place that is still to be
	// visited, where the cursor keeps it from being served twice. A new one is appended,
	// and has a later cursor anyway.
	left int
	// need is the sequence from which on those of the subscribers need messages that
	// publishers are not to push out, 0 for none: see Inbox.Need.
	need uint64
}

// next returns the next subscriber of the group, or false when there is none left.
func (g *group) next() (_ streamID, ok bool) {
	g.left = min(g.left, len(g.channel.subscribers))
	if g.left == 0 {
		return 0, false
	}
	g.left--
	return g.channel.subscribers[g.left], true
}

// writeUnit is how much is written at about twice the price of next to nothing, in
// bytes.
const writeUnit = 16 << 10

// fanOut does at most budget writes, large ones counting as several. It returns true
// when there is more to do.
func (l *loop) fanOut(budget int) (more bool) {
	t := &l.turn
	if len(t.groups) > 0 {
		l.takeIn(true)
	}
	for {
		for ; t.current < len(t.groups); t.current++ {
			g := &t.groups[t.current]
			if !l.prepare(g) {
				return true // which costs the poller a look meanwhile
			}
			cost := 1 + len(g.wire)/writeUnit
			for {
				if budget <= 0 {
					return true
				}
				id, ok := g.next()
				if !ok {
					break
				}
				budget -= cost * l.visit(l.at(id), t, g)
			}
			l.tellNeed(g)
			g.channel.group = 0
		}
		l.endTurn()
		if !l.beginTurn() {
			return false
		}
	}
}

// beginTurn takes the next messages that wait, encoded together by channel. It
// returns false when none wait.
func (l *loop) beginTurn() bool {
	t := &l.turn
	if t.next > 0 {
		left := copy(t.taken, t.taken[t.next:])
		clear(t.taken[left:]) // the messages must not outlive their serving
		t.taken, t.next = t.taken[:left], 0
	}
	l.takeIn(false)
	first, size := t.next, 0
	for t.next < len(t.taken) && size < turnBytes {
		size += len(t.taken[t.next].Wire)
		t.next++
	}
	t.served = t.taken[first:t.next]
	t.messages = t.served
	if len(t.served) > 0 {
		t.end = t.served[len(t.served)-1].Seq
	}
	if l.inbox.Gapped() { // asked for after the messages: a gap that came before one of them is seen
		if l.holding {
			l.cutTurn(first)
		} else {
			l.addGaps(first)
		}
	}
	l.addSurveys()
	if len(t.messages) == 0 && len(t.groups) == 0 {
		return false
	}
	for _, m := range t.messages {
		if i, ok := l.byChannel.m[m.Channel]; ok { // else the last subscriber has left
			t.add(l.channels[i], m)
		}
	}
	for i := range t.groups {
		t.groups[i].encode()
	}
	if len(t.groups) > 1 { // so that no channel waits for one with more subscribers
		slices.SortFunc(t.groups, func(a, b group) int { return cmp.Compare(a.left, b.left) })
		for i := range t.groups {
			t.groups[i].channel.group = int32(i + 1)
		}
	}
	t.began, t.compressed = l.server.clock(), 0
	return true
}

// gapsAtOnce bounds the gaps that a turn tells: the broker is held up for as long as it
// takes to make them.
const gapsAtOnce = 128

// addGaps puts the gaps into the turn that are to be told before the messages after it,
// and takes the messages out of it that come after gaps for which it has no room.
func (l *loop) addGaps(first int) {
	t := &l.turn
	var next uint64 // of the first message after the turn
	if t.next < len(t.taken) {
		next = t.taken[t.next].Seq
	}
	var more bool
	if t.gaps, more = l.inbox.Gaps(t.gaps[:0], next, gapsAtOnce); len(t.gaps) == 0 {
		return
	}
	if more {
		last := t.gaps[len(t.gaps)-1].Seq
		for t.next > first && t.taken[t.next-1].Seq > last {
			t.next--
		}
		t.served = t.taken[first:t.next]
	}
	t.merged = t.merged[:0]
	rest := t.served
	for _, gap := range t.gaps {
		for len(rest) > 0 && rest[0].Seq < gap.Seq {
			t.merged, rest = append(t.merged, rest[0]), rest[1:]
		}
		t.merged = append(t.merged, gap)
	}
	t.merged = append(t.merged, rest...)
	t.messages = t.merged
	if t.end = t.messages[len(t.messages)-1].Seq; more {
		t.end-- // others may have a gap at this place
	}
}

// cutTurn takes the messages out of the turn that come after a gap, which is not to be told yet.
func (l *loop) cutTurn(first int) {
	t := &l.turn
	gap := l.inbox.OldestGap()
	for gap > 0 && t.next > first && t.taken[t.next-1].Seq > gap {
		t.next--
	}
	if t.served = t.taken[first:t.next]; len(t.served) > 0 {
		t.end = t.served[len(t.served)-1].Seq
	}
	t.messages = t.served
}

// leaves tells whether a message that was left to a turn still waits for its own. seq is
// its sequence, in the order of which taken is.
func (t *turn) leaves(seq uint64) bool {
	return t.next < len(t.taken) && t.taken[t.next].Seq <= seq
}

// groupOf returns the group of a channel, nil if it has none.
func (t *turn) groupOf(ch *loopChannel) *group {
	if i := int(ch.group) - 1; i >= 0 && i < len(t.groups) && t.groups[i].channel == ch {
		return &t.groups[i]
	}
	return nil
}

// add puts m into its channel's group.
func (t *turn) add(ch *loopChannel, m *channels.Message) {
	g := t.groupFor(ch)
	g.messages = append(g.messages, m)
}

// groupFor returns the group of a channel, which may be new.
func (t *turn) groupFor(ch *loopChannel) *group {
	g := t.groupOf(ch)
	if g == nil {
		if len(t.groups) < cap(t.groups) {
			t.groups = t.groups[:len(t.groups)+1] // with the memory that release left
		} else {
			t.groups = append(t.groups, group{})
		}
		ch.group = int32(len(t.groups))
		g = &t.groups[ch.group-1]
		g.channel, g.left, g.need = ch, len(ch.subscribers), 0
	}
	return g
}

// release forgets the groups and keeps their memory.
func (t *turn) release() {
	for i := range t.groups {
		g := &t.groups[i]
		g.channel.group = 0
		g.channel = nil
		g.batch.release()
	}
	t.groups, t.current = t.groups[:0], 0
}

// endTurn reports the turn's messages as served, and forgets them.
func (l *loop) endTurn() {
	t := &l.turn
	if len(t.messages) == 0 && len(t.groups) == 0 {
		return
	}
	if len(t.messages) > 0 && len(t.groups) > 0 {
		l.counters.fanout.record(l.server.clock() - t.began)
	}
	t.release()
	if len(t.served) > 0 {
		l.inbox.Served(t.served)
	}
	clear(t.gaps)
	clear(t.merged)
	t.served, t.messages = nil, nil
}

// visit brings a stream to the end of the turn, and with it the others that share its socket. It
// returns how many it has written to, and at least 1. One that is behind gets there in its own
// time, or never: then it is ended.
func (l *loop) visit(s *stream, t *turn, g *group) (written int) {
	switch {
	case s.state == stateWaiting:
	case s.flags.is(behind):
		if l.isLapped(s, g) {
			l.endStream(s, reasonLapped)
		} else if s.flags.is(fast) && (g.need == 0 || s.cursor < g.need) {
			g.need = s.cursor + 1
		}
	case len(g.messages) == 0: // a survey of the readers' needs
	case s.isShared():
		return l.visitConnection(s, t, g)
	default:
		l.bring(s, t, g)
	}
	return 1
}

// bring brings a stream to the end of the turn, of which g is its channel's part if it is on
// one channel only. It returns false if there was nothing for it.
func (l *loop) bring(s *stream, t *turn, g *group) bool {
	if s.channel == multiChannel {
		return l.bringMulti(s, t)
	}
	messages, wire := g.after(s.cursor)
	if len(messages) == 0 {
		return false
	}
	l.sendGroup(s, g, parcel{messages: messages, wire: wire})
	return true
}

// visitConnection is visit for a stream that shares its socket: what the turn has for all streams
// of that goes out together. The cursor makes their own visits no-ops.
func (l *loop) visitConnection(s *stream, t *turn, g *group) (written int) {
	if !l.bring(s, t, g) {
		return 1
	}
	written = 1
	c := l.connOf(s)
	for other := range l.streamsOf(l.h2Of(c).first) {
		if l.isStopped(c) || written*len(g.wire) > turnBytes { // their own visits will do
			break
		}
		o := &other.stream
		if o.state != stateStream || o.flags.is(behind) {
			continue
		}
		group := g
		if o.channel == multiChannel {
			if t != &l.turn { // nothing is served early to such
				continue
			}
		} else if group = t.groupOf(l.channels[o.channel]); group == nil {
			continue
		} else if o.flags.is(gzipped) && !group.gzip.isReady { // its forms are not made yet
			continue
		}
		if l.bring(o, t, group) {
			written++
		}
	}
	l.settle()
	return written
}

// isLapped tells whether a message that a stream lacks, which is behind, is no longer kept.
func (l *loop) isLapped(s *stream, g *group) bool {
	if len(g.messages) == 0 {
		return false
	}
	newest := g.messages[len(g.messages)-1]
	return s.cursor < newest.Evicted && l.floorOf(s, newest.Channel) < newest.Evicted
}

// bringMulti is bring for a stream on several channels, all of them at once, so that it sees
// them in one order. It looks at no other channels. The cursor makes its later visits in this
// turn no-ops.
func (l *loop) bringMulti(s *stream, t *turn) (written bool) {
	if s.cursor >= t.messages[len(t.messages)-1].Seq {
		return false
	}
	l.runs = l.runs[:0]
	var messages []*channels.Message
	var wire []byte
	for _, sub := range l.multi.m[s.id()] {
		if i := l.channels[sub.channel].group; i > 0 {
			if run, together := t.groups[i-1].after(s.cursor); len(run) > 0 {
				l.runs = append(l.runs, run)
				messages, wire = run, together
			}
		}
	}
	p := parcel{messages: messages, wire: wire}
	if len(l.runs) > 1 {
		l.missed = channels.Merge(l.missed[:0], l.runs...)
		p = l.pack(l.out[:0], s, l.missed)
		l.out = p.wire
	}
	if len(p.messages) == 0 || l.send(s, 0, p) == sent {
		s.cursor = max(s.cursor, t.end)
	}
	written = len(p.messages) > 0
	clear(l.runs)
	clear(l.missed)
	return written
}
