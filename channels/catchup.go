package channels

// CatchUp appends to dst the messages of chans after cursor, in order, with the gaps
// that told has not: at least one message if there is any, and no more once their wire
// forms reach maxBytes, which is at least 1. It returns false, and nothing, when some of
// it may no longer be kept, beside what told has. chans must be attached by the caller.
func (in *Inbox) CatchUp(dst []*Message, cursor uint64, told Told, maxBytes int, chans ...*Channel) ([]*Message, bool) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.catchUpLocked(dst, cursor, told, maxBytes, chans)
}

// catchUpLocked is CatchUp, whichever inbox has chans.
func (b *Broker) catchUpLocked(dst []*Message, cursor uint64, told Told, maxBytes int, chans []*Channel) ([]*Message, bool) {
	var onStack [64]head
	heads := heads(onStack[:0])
	begin := len(dst)
	for i, c := range chans {
		if c.evicted > max(cursor, told.Floor(i)) {
			return dst, false
		}
		if at := c.log.after(cursor); at < c.log.count() {
			heads = append(heads, head{c.log.at(at).Seq, int32(i), int32(at)})
		}
	}
	heads.order()
	for size := 0; size < maxBytes && len(heads) > 0; {
		h := heads[0]
		log := chans[h.run].log
		m := log.at(int(h.at))
		dst = append(dst, m)
		size += len(m.Wire)
		if h.at++; h.at < log.n {
			heads.replace(head{log.at(int(h.at)).Seq, h.run, h.at})
		} else {
			heads = heads.drop()
		}
	}
	cut := len(heads) > 0
	return b.addGapsLocked(dst, begin, max(cursor, told.Gaps), cut, chans), true
}

// GapAfter returns the place of the oldest gap of chans after a place, 0 if there is none. chans
// must be attached by the caller.
func (in *Inbox) GapAfter(place uint64, chans ...*Channel) (gap uint64) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range chans {
		if c.gap > place && (gap == 0 || c.gap < gap) {
			gap = c.gap
		}
	}
	return gap
}

// Missing returns how many of the kept messages of chans were published after
// cursor, and whether there were more, beside what told has, that are no longer kept.
// chans must be attached by the caller.
func (in *Inbox) Missing(cursor uint64, told Told, chans ...*Channel) (messages int, lapped bool) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range chans {
		messages += c.log.count() - c.log.after(cursor)
		lapped = lapped || c.evicted > max(cursor, told.Floor(i))
	}
	return messages, lapped
}
