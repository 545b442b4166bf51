package channels

// excess lists the channels that keep more than Options.History: at first those that
// no stream is on, which need not, then by the time of their newest message. It is
// linked through the channels. Guarded by Broker.mu.
type excess struct {
	first, last *Channel
}

// inExcess is a channel's place in the list.
type inExcess struct {
	before, behind *Channel
}

// insert adds c, which is not in the list: at the end if streams are on it, else at
// the beginning.
func (e *excess) insert(c *Channel, streams bool) {
	c.listed, c.streams = true, streams
	switch {
	case e.first == nil:
		e.first, e.last = c, c
	case streams:
		c.excess.before, e.last.excess.behind = e.last, c
		e.last = c
	default:
		c.excess.behind, e.first.excess.before = e.first, c
		e.first = c
	}
}

// remove takes c out, if it is in the list.
func (e *excess) remove(c *Channel) {
	if !c.listed {
		return
	}
	x := &c.excess
	if x.before != nil {
		x.before.excess.behind = x.behind
	} else {
		e.first = x.behind
	}
	if x.behind != nil {
		x.behind.excess.before = x.before
	} else {
		e.last = x.before
	}
	*x, c.listed = inExcess{}, false
}
