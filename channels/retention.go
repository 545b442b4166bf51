package channels

const (
	// backlogBytes and backlogEvents are how much of its newest messages a channel with
	// streams keeps, so that a reader that is behind finds what it missed: these bytes,
	// and at least so many of the largest events.
	// Well above maxUnserved: a reader counts as lapped only when its own loop is so
	// far ahead of it.
	backlogBytes  = 4 << 20
	backlogEvents = 4
	// DefaultMaxKept bounds the kept messages of all channels together, and
	// the channels that are there only for them.
	DefaultMaxKept = 256 << 20
	// channelOverhead is the memory of a channel beside its name and messages: the
	// struct, the least ring, the place in the map.
	channelOverhead = 192
)

// retention is the list of all kept messages by age, linked through them.
// Guarded by Broker.mu.
type retention struct {
	oldest, newest *Message
	size           int // in bytes, with the rent of channels
}

// push adds m, the newest.
func (r *retention) push(m *Message) {
	m.older = r.newest
	if m.older != nil {
		m.older.newer = m
	} else {
		r.oldest = m
	}
	r.newest = m
	r.size += m.size()
}

// remove takes m out, and the links out of m: a holder of m must not hold its neighbours
// with it.
func (r *retention) remove(m *Message) {
	if m.older != nil {
		m.older.newer = m.newer
	} else {
		r.oldest = m.newer
	}
	if m.newer != nil {
		m.newer.older = m.older
	} else {
		r.newest = m.older
	}
	m.older, m.newer = nil, nil
	r.size -= m.size()
}

// sliceOfWork is how many messages are dropped at most while the broker is held up,
// which takes it some 0.1 ms. The next caller drops the rest, or the alarm does.
const sliceOfWork = 512

// retainLocked puts m, the newest message, into its channel's log and evicts what the
// bounds no longer allow.
func (b *Broker) retainLocked(m *Message) {
	c := m.Channel
	if c.log == nil {
		c.log = new(log)
	}
	c.log.push(m)
	b.kept.push(m)
	b.trimLocked(c, sliceOfWork)
	b.excess.published(c)
	b.settleLocked(c)
	b.tidyLocked()
}

// trimLocked drops what c keeps above its own bounds, most messages at most, and returns how
// many. The channel is to be settled.
func (b *Broker) trimLocked(c *Channel, most int) (n int) {
	for ; n < most && c.log.count() > b.opts.History && c.log.bytes() > b.backlog && b.dropsLocked(c); n++ {
		b.popLocked(c)
	}
	return n
}

// tidyLocked drops messages that are no longer to be kept, a slice of them, and has the
// alarm see to the rest. It returns true when there may be more.
func (b *Broker) tidyLocked() (more bool) {
	more = true
	for left := sliceOfWork; more && left > 0; left-- {
		more = b.dropLocked()
	}
	b.setAlarmLocked(more)
	return more
}

// dropLocked drops one message, and returns false if there is none to be dropped. First go
// the messages above History of channels without streams, then those that are too old,
// then some as long as all together are above MaxKept: of these, the ones that channels
// keep above History go before the others, and those of the channel that has been quiet
// for longest go first.
func (b *Broker) dropLocked() bool {
	var c *Channel
	switch x := b.excess.first; {
	case x != nil && len(x.loops) == 0:
		c = x
	case b.kept.oldest != nil && b.aged(b.kept.oldest):
		c = b.kept.oldest.Channel
	case b.kept.size <= b.opts.MaxKept:
		return false
	case x != nil:
		c = x
	default:
		c = b.kept.oldest.Channel
	}
	if !b.dropsLocked(c) {
		return false
	}
	b.evictLocked(c)
	return true
}

// dropsLocked tells whether the oldest message of c may be dropped: not while streams move to
// a successor, or come from a predecessor, for which it may be needed.
func (b *Broker) dropsLocked(c *Channel) bool { return c.log.at(0).Seq <= b.heldAbove }

// aged tells whether m is older than HistoryTTL.
func (b *Broker) aged(m *Message) bool {
	return b.opts.HistoryTTL > 0 && b.clock()-m.born >= b.opts.HistoryTTL
}

// dropAgedLocked drops messages of chans, and of other channels, that are too old, as far as
// a slice goes, so that no stream is sent one.
func (b *Broker) dropAgedLocked(chans ...*Channel) {
	if b.opts.HistoryTTL == 0 {
		return
	}
	left := sliceOfWork
	for _, c := range chans {
		for ; left > 0 && c.log.count() > 0 && b.aged(c.log.at(0)) && b.dropsLocked(c); left-- {
			b.evictLocked(c)
		}
	}
	b.tidyLocked()
}

// shed evicts until the kept messages are within MaxKept.
func (b *Broker) shed() {
	for more := true; more; {
		b.mu.Lock()
		more = b.kept.size > b.opts.MaxKept && b.tidyLocked()
		b.mu.Unlock()
	}
}

// evictLocked drops the oldest message of c, and c when nothing is left of it.
func (b *Broker) evictLocked(c *Channel) {
	b.popLocked(c)
	b.settleLocked(c)
}

// popLocked drops the oldest message of c, which is to be settled.
func (b *Broker) popLocked(c *Channel) {
	m := c.log.pop()
	c.evicted = max(c.evicted, m.Seq) // an engine may lack something later
	b.kept.remove(m)
	if c.texted {
		b.evictFormLocked(c, m)
	}
}

// settleLocked has c stand where it belongs when its log or its subscribers have changed: in
// the list of those that keep more than History, at its beginning while no stream is on
// it, or nowhere at all.
func (b *Broker) settleLocked(c *Channel) {
	n, streams := c.log.count(), len(c.loops) > 0
	if n <= b.opts.History {
		b.excess.remove(c)
	} else if x := &c.log.excess; !x.listed || x.streams != streams {
		b.excess.remove(c)
		b.excess.insert(c, streams)
	}
	if n == 0 {
		c.log = nil
	}
	b.assessLocked(c)
	if n == 0 && c.subscribers == 0 && b.successor == nil { // else its streams may be on their way
		b.forgetLocked(c.name, c.lost())
		delete(b.channels, c.name)
		b.ordered.remove(c)
		b.noteClosedLocked(c)
	}
}

// forgetLocked notes that messages of a channel that is not there any more are lost up to seq.
func (b *Broker) forgetLocked(name string, seq uint64) {
	b.forgotten.add(name, seq)
	if b.tap != nil {
		b.tap.forgot(name, seq)
	}
}

// assessLocked sets the rent of c: a channel that is there only for its messages
// counts with them, or one message each on many channels would take several
// times MaxKept.
func (b *Broker) assessLocked(c *Channel) {
	rent := int32(0)
	if c.subscribers == 0 && c.log != nil {
		rent = int32(channelOverhead + len(c.name))
	}
	b.kept.size += int(rent - c.rent)
	c.rent = rent
}
