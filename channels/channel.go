package channels

import "slices"

// Channel is a name with its subscribers and its newest messages. It lives in
// the broker while it has either; a loop may hold it for as long as it is
// attached. Everything but the name is guarded by Broker.mu.
type Channel struct {
	name string
	// loops says which inboxes want the channel's messages, and for how many
	// subscribers. Few entries: at most one a loop.
	loops []attachment
	// audience are the observers that hear the channel beside the loops, each once; nil
	// for none, as with most channels. The list never changes, another takes its place.
	audience *[]Observer
	// log has the kept messages, nil for none: most channels that a crowd opens keep none.
	log *log
	// published is the number of messages since the channel was opened.
	published uint64
	// evicted is the sequence of the newest message that is no longer in the
	// log, or a later one: messages above it are in the log for certain.
	evicted uint64
	// gap is the place of the newest gap: messages before it may be missing, even if the
	// log has some. 0 for none. It does not concern a stream that begins without an id, or
	// above it.
	gap uint64
	// subscribers is the sum over loops, and the observers.
	subscribers int32
	// rent is the size that the channel itself counts for against MaxKept, in bytes.
	rent int32
	// why is the reason of the gap, and unfollowed that it is where the channel began to
	// be followed, which the backplane knows.
	why        Gap
	unfollowed bool
	// followed tells that the backplane delivers everything. Until then, subscribers that
	// attach wait, or messages of that time would be lost to them.
	followed bool
	// refused tells that the backplane will not deliver: it counts as followed, since
	// nothing is to be waited for, but who begins is told.
	refused bool
	// texted tells that gzip streams are on the channel, so that it is in Broker.texts.
	texted bool
}

// attachment is the subscribers of a channel on one loop, one or more.
type attachment struct {
	inbox       *Inbox
	subscribers int32
	gap         uint32 // the channel's entry in inbox.gaps, 0 if the loop has no gap of it to tell
	// unserved is the channel's part of inbox.unserved: less than that when the
	// loop left the channel and came back meanwhile.
	unserved int32
	asked    bool   // the loop is to tell when need changes
	need     uint64 // see Inbox.Need
}

// observers are those of audience.
func (c *Channel) observers() []Observer {
	if c.audience == nil {
		return nil
	}
	return *c.audience
}

// setObservers changes audience.
func (c *Channel) setObservers(o []Observer) {
	c.audience = &o
	if len(o) == 0 {
		c.audience = nil
	}
}

// Name returns the channel's name. Safe for concurrent use.
func (c *Channel) Name() string { return c.name }

// attach counts n more subscribers on the loop that owns in.
func (c *Channel) attach(in *Inbox, n int32) {
	c.subscribers += n
	if i := c.find(in); i >= 0 {
		c.loops[i].subscribers += n
	} else {
		c.loops = append(c.loops, attachment{inbox: in, subscribers: n})
	}
}

// setFollowed lets those who wait begin, once their loops are woken by mu.
func (c *Channel) setFollowed(mu *lock) {
	c.followed = true
	for _, a := range c.loops {
		a.inbox.postFollowed(c)
		mu.wakeLater(a.inbox)
	}
}

// detach takes back one attach.
func (c *Channel) detach(in *Inbox) {
	c.subscribers--
	i := c.find(in)
	c.loops[i].subscribers--
	if c.loops[i].subscribers == 0 {
		c.told(in)
		c.loops = slices.Delete(c.loops, i, i+1)
	}
}

func (c *Channel) find(in *Inbox) int {
	return slices.IndexFunc(c.loops, func(a attachment) bool { return a.inbox == in })
}

// told takes the channel out of those of which the owner of in has a gap to tell.
func (c *Channel) told(in *Inbox) {
	a := &c.loops[c.find(in)]
	if a.gap == 0 {
		return
	}
	in.gaps.remove(a.gap)
	a.gap = 0
	in.gapped.Store(in.gaps.n > 0)
}

// served takes served messages off the account of in. If the loop has left meanwhile,
// there is no account; if it has come back too, the account began at nothing.
func (c *Channel) served(in *Inbox, size int) {
	if i := c.find(in); i >= 0 {
		c.loops[i].unserved = max(c.loops[i].unserved-int32(size), 0)
	}
}
