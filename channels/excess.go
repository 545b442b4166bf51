package channels

// excess lists the channels that keep more than Options.History: at first those that
// no stream is on, which need not, then by the time of their newest message. It is
// linked through the logs of the channels. Guarded by Broker.mu.
type excess struct {
	first, last *Channel
}

// inExcess is a channel's place in the list: nowhere, unless it is listed.
type inExcess struct {
	before, behind  *Channel
	listed, streams bool // streams were on the channel when it got this place
}

// insert adds c, which is not in the list: at the end if streams are on it, else at
// the beginning.
func (e *excess) insert(c *Channel, streams bool) {
	x := &c.log.excess
	x.listed, x.streams = true, streams
	switch {
	case e.first == nil:
		e.first, e.last = c, c
	case streams:
		x.before, e.last.log.excess.behind = e.last, c
		e.last = c
	default:
		x.behind, e.first.log.excess.before = e.first, c
		e.first = c
	}
}

// published moves c, if it is in the list, to the end of those with streams: the channel
// that was published to last has its turn last.
func (e *excess) published(c *Channel) {
	if x := &c.log.excess; x.listed && x.streams && e.last != c {
		e.remove(c)
		e.insert(c, true)
	}
}

// remove takes c out, if it is in the list.
func (e *excess) remove(c *Channel) {
	if c.log == nil || !c.log.excess.listed {
		return
	}
	x := &c.log.excess
	if x.before != nil {
		x.before.log.excess.behind = x.behind
	} else {
		e.first = x.behind
	}
	if x.behind != nil {
		x.behind.log.excess.before = x.before
	} else {
		e.last = x.before
	}
	*x = inExcess{}
}
