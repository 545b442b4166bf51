package channels

const (
	// backlogBytes and backlogEvents are how much of its newest messages a channel with
	// streams keeps, so that a reader that is behind finds what it missed: these bytes,
	// and at least so many of the largest events.
	// Well above maxUnserved: a reader counts as lapped only when it is that
	// much behind its own loop.
	backlogBytes  = 4 << 20
	backlogEvents = 4
	// DefaultMaxKept bounds the kept messages of all channels together, and
	// the channels that are there only for them.
	DefaultMaxKept = 256 << 20
	// channelOverhead is what a channel costs beside its name and messages:
	// the struct, the least ring, the place in the map.
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

// remove takes m out, and the links out of m: who holds it longer must not hold
// its neighbours with it.
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
// which takes it some 0.1 ms. What is left is dropped by whoever comes next, or by
// Expire.
const sliceOfWork = 512

// keep puts m, the newest message, into its channel's log and evicts what the
// bounds no longer allow. Called with mu held.
func (b *Broker) keep(m *Message) {
	c := m.Channel
	c.log.push(m)
	b.kept.push(m)
	b.excess.remove(c) // which has been published to last, so that its turn comes last
	b.settle(c)
	for left := sliceOfWork; left > 0 && c.log.n > b.opts.History && c.log.size > b.backlog; left-- {
		b.evict(c)
	}
	b.tidy()
}

// tidy drops what is no longer to be kept: at first what channels that no stream is on
// keep above History, then what is too old, then what is above MaxKept. Of that, what
// channels keep above History goes before what is their history: at first that of the
// channel to which nothing has been published for longest. It returns true when it has
// done its slice and there may be more. Called with mu held.
func (b *Broker) tidy() (more bool) {
	for range sliceOfWork {
		switch c := b.excess.first; {
		case c != nil && len(c.loops) == 0:
			b.evict(c)
		case b.kept.oldest != nil && b.aged(b.kept.oldest):
			b.evict(b.kept.oldest.Channel)
		case b.kept.size <= b.opts.MaxKept:
			return false
		case c != nil:
			b.evict(c)
		default:
			b.evict(b.kept.oldest.Channel)
		}
	}
	return true
}

// aged tells whether m is older than HistoryTTL.
func (b *Broker) aged(m *Message) bool {
	return b.opts.HistoryTTL > 0 && b.clock()-m.born >= b.opts.HistoryTTL
}

// expire drops what is too old of chans, so that nobody is sent it, as far as a slice
// goes, and of the others. Called with mu held.
func (b *Broker) expire(chans ...*Channel) {
	if b.opts.HistoryTTL == 0 {
		return
	}
	left := sliceOfWork
	for _, c := range chans {
		for ; left > 0 && c.log.n > 0 && b.aged(c.log.at(0)); left-- {
			b.evict(c)
		}
	}
	b.tidy()
}

// Expire drops the messages that are older than Options.HistoryTTL, and what nobody
// needs any more, the room of channels that are gone included. Whoever publishes or subscribes does some of it: this does the rest,
// and is to be called now and then. It holds the broker up for a slice at a time. Safe
// for concurrent use.
func (b *Broker) Expire() {
	b.tidyWhile(func() bool { return true })
	for more := true; more; {
		b.mu.Lock()
		more = b.shrinkOn(sliceOfMoves)
		b.mu.Unlock()
	}
}

// shed evicts until what is kept is within MaxKept.
func (b *Broker) shed() { b.tidyWhile(func() bool { return b.kept.size > b.opts.MaxKept }) }

// tidyWhile does slices of tidy while there is more and wanted, which is called with mu
// held, says so.
func (b *Broker) tidyWhile(wanted func() bool) {
	for more := true; more; {
		b.mu.Lock()
		more = wanted() && b.tidy()
		b.mu.Unlock()
	}
}

// evict drops the oldest message of c, and c when nothing is left of it. Called with mu
// held.
func (b *Broker) evict(c *Channel) {
	m := c.log.pop()
	c.evicted = max(c.evicted, m.Seq) // an engine may lack something later
	b.kept.remove(m)
	b.settle(c)
}

// settle has c stand where it belongs when its log or its subscribers have changed: in
// the list of those that keep more than History, at its beginning while no stream is on
// it, or nowhere at all. Called with mu held.
func (b *Broker) settle(c *Channel) {
	if c.subscribers == 0 && c.log.n == 0 {
		b.excess.remove(c)
		b.forgotten.add(c.name, c.lost())
		delete(b.channels, c.name)
		b.ordered.remove(c)
		b.noteClosed(c)
	} else if streams := len(c.loops) > 0; c.log.n <= b.opts.History {
		b.excess.remove(c)
	} else if !c.listed || c.streams != streams {
		b.excess.remove(c)
		b.excess.insert(c, streams)
	}
	b.assess(c)
}

// assess sets the rent of c: a channel that is there only for its messages
// counts with them, or one message each on many channels would take several
// times MaxKept. Called with mu held.
func (b *Broker) assess(c *Channel) {
	b.kept.size -= int(c.rent)
	c.rent = 0
	if c.subscribers == 0 && c.log.n > 0 {
		c.rent = int32(channelOverhead + len(c.name))
	}
	b.kept.size += int(c.rent)
}
