package channels

const (
	// backlogBytes is how much of its newest messages a channel with streams
	// keeps, so that a reader that is behind finds what it missed.
	// Well above maxUnserved: a reader counts as lapped only when it is that
	// much behind its own loop.
	backlogBytes = 4 << 20
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

// keep puts m, the newest message, into its channel's log and evicts what the
// bounds no longer allow. Called with mu held.
func (b *Broker) keep(m *Message) {
	m.Channel.log.push(m)
	b.kept.push(m)
	b.expire() // not before: a channel that it leaves empty is forgotten
	b.trim(m.Channel)
	b.bound()
}

// bound evicts the oldest messages until what is kept is within MaxKept.
// Called with mu held.
func (b *Broker) bound() {
	for b.kept.size > b.opts.MaxKept {
		c := b.kept.oldest.Channel
		b.evict(c)
		b.trim(c)
	}
}

// trim evicts what c need not keep, and forgets c when nothing is left of it.
// Called with mu held.
func (b *Broker) trim(c *Channel) {
	for c.log.n > b.opts.History && (len(c.loops) == 0 || c.log.size > backlogBytes) {
		b.evict(c)
	}
	if c.subscribers == 0 && c.log.n == 0 {
		b.forgotten.add(c.name, c.lost())
		delete(b.channels, c.name)
		b.ordered.remove(c)
	}
	b.assess(c)
}

// assess sets the rent of c: a channel that is there only for its messages
// counts with them, or one message each on many channels would take several
// times MaxKept. Called with mu held.
func (b *Broker) assess(c *Channel) {
	b.kept.size -= c.rent
	c.rent = 0
	if c.subscribers == 0 && c.log.n > 0 {
		c.rent = channelOverhead + len(c.name)
	}
	b.kept.size += c.rent
}

// evict drops the oldest message of c. Called with mu held.
func (b *Broker) evict(c *Channel) {
	m := c.log.pop()
	c.evicted = max(c.evicted, m.Seq) // an engine may lack something later
	b.kept.remove(m)
}

// Expire evicts the messages that are older than Options.HistoryTTL. Publish and
// Resume do so by themselves: it is for a broker that nobody talks to. Safe for
// concurrent use.
func (b *Broker) Expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire()
}

// expire is Expire with mu held.
func (b *Broker) expire() {
	if b.opts.HistoryTTL == 0 {
		return
	}
	for now := b.clock(); b.kept.oldest != nil && now-b.kept.oldest.born >= b.opts.HistoryTTL; {
		c := b.kept.oldest.Channel
		b.evict(c)
		b.trim(c)
	}
}
