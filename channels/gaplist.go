package channels

// gapList is the channels of which one loop has yet to tell a gap, each once, in the
// order of the gaps' places. It is linked through entries of 16 bytes, so a channel
// whose gap is followed by another moves to the end in a constant time, and a million
// gaps at once copy nothing. Guarded by Broker.mu.
type gapList struct {
	blocks      []*gapBlock
	first, last uint32 // entries; 0 for none
	free        uint32 // linked by next
	used        uint32 // entries that were ever taken from blocks
	n           int    // channels in the list
}

// gapBlock is entries that are allocated together.
type gapBlock [1 << gapBlockShift]gapEntry

const gapBlockShift = 9

// gapEntry is one channel in the list. Its place in the order is channel.gap.
type gapEntry struct {
	channel    *Channel
	prev, next uint32
}

// at returns an entry. They are numbered from 1 on.
func (l *gapList) at(i uint32) *gapEntry {
	return &l.blocks[(i-1)>>gapBlockShift][(i-1)&(1<<gapBlockShift-1)]
}

// push puts c, whose gap is the newest of all, at the end, and returns its entry.
func (l *gapList) push(c *Channel) uint32 {
	i := l.free
	if i != 0 {
		l.free = l.at(i).next
	} else {
		if l.used == uint32(len(l.blocks))<<gapBlockShift {
			l.blocks = append(l.blocks, new(gapBlock))
		}
		l.used++
		i = l.used
	}
	*l.at(i) = gapEntry{channel: c, prev: l.last}
	if l.last != 0 {
		l.at(l.last).next = i
	} else {
		l.first = i
	}
	l.last = i
	l.n++
	return i
}

// remove takes an entry out. An empty list keeps no memory.
func (l *gapList) remove(i uint32) {
	e := l.at(i)
	if e.prev != 0 {
		l.at(e.prev).next = e.next
	} else {
		l.first = e.next
	}
	if e.next != 0 {
		l.at(e.next).prev = e.prev
	} else {
		l.last = e.prev
	}
	*e = gapEntry{next: l.free}
	l.free = i
	if l.n--; l.n == 0 {
		*l = gapList{}
	}
}

// oldest returns the channel of which a gap is to be told first, nil for none.
func (l *gapList) oldest() *Channel {
	if l.first == 0 {
		return nil
	}
	return l.at(l.first).channel
}
