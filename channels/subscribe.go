package channels

// Attach counts one subscriber of each of names on the loop that owns the inbox, and
// returns the channels, appended to dst, with the cursor from which the
// subscriber has everything that is delivered: later messages reach the inbox,
// earlier ones do not concern it. The names must pass CheckName and differ from each
// other.
func (in *Inbox) Attach(dst []*Channel, names ...[]byte) ([]*Channel, uint64) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		dst = append(dst, b.attachLocked(in, name, 1))
	}
	b.shared = 0
	return dst, b.seq
}

// attachLocked counts n subscribers of a channel.
func (b *Broker) attachLocked(in *Inbox, name []byte, n int32) *Channel {
	c := b.channels[string(name)]
	if c == nil {
		c = b.openLocked(string(name))
	}
	if len(c.loops) == 0 {
		b.streamed.Add(1)
	}
	c.attach(in, n)
	b.joinedLocked(c, n)
	return c
}

// joinedLocked is called when c has n subscribers more.
func (b *Broker) joinedLocked(c *Channel, n int32) {
	b.settleLocked(c)
	if !b.Linked() {
		c.followed = true
		return
	}
	if c.subscribers > n {
		return
	}
	from, followed := b.opts.Backplane.Follow(c.name)
	if b.successor != nil { // whether it is followed is for the predecessor to say
		return
	}
	c.followed = followed
	c.lack(b.sequence(from))
	if b.tap != nil {
		b.tap.rejoined(c)
	}
}

// Detach takes back one subscriber of each of chans, to which the inbox must be attached.
func (in *Inbox) Detach(chans ...*Channel) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range chans {
		if c.detach(in); len(c.loops) == 0 {
			b.streamed.Add(-1)
		}
		b.leftLocked(c)
	}
	b.tidyLocked()
	b.wakePublishersLocked() // no publisher need wait for a loop that has left
}

// leftLocked is called when c has one subscriber less.
func (b *Broker) leftLocked(c *Channel) {
	if c.subscribers == 0 && b.Linked() {
		if b.tap != nil {
			b.tap.left(c)
		} else {
			b.unfollowLocked(c.name)
		}
	}
	b.settleLocked(c)
}

// unfollowLocked tells that a channel has no subscribers any more.
func (b *Broker) unfollowLocked(name string) {
	b.opts.Backplane.Unfollow(name)
	if c := b.channels[name]; c != nil {
		b.permitLocked(c)
	}
}

// HasRoom tells whether streams would be on limit channels at most if one more were on
// names. Loops that ask at the same time may each be told so of the last place.
func (in *Inbox) HasRoom(limit int, names ...[]byte) bool {
	b := in.broker
	left := limit - int(b.streamed.Load())
	if len(names) <= left {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if c := b.channels[string(name)]; c == nil || len(c.loops) == 0 {
			left--
		}
	}
	return left >= 0
}

// openLocked adds the channel.
func (b *Broker) openLocked(name string) *Channel {
	c := &Channel{name: name, evicted: b.forgotten.of(name)}
	b.channels[name] = c
	b.ordered.add(c)
	b.noteOpenedLocked(c)
	return c
}
