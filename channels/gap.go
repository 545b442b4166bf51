package channels

import (
	"math"
	"slices"
)

// GapType is the type of the event that tells a client that it may have missed
// some. Its data is JSON: the reason, and the ids of the oldest message that is
// kept of its channels ("" if there is none) and of the newest message of all.
const GapType = ownTypes + "gap"

// Gap says why not all messages that a client missed can be replayed.
type Gap uint8

const (
	NoGap      Gap = iota
	GapRestart     // its last event id is of another epoch
	GapEvicted     // some messages that it missed are no longer kept
	GapUnknown     // its last event id is none of ours
	// GapBackplane says that this node may not have been told of all that was
	// published on the others.
	GapBackplane

	// Gaps is how many reasons there are, NoGap included.
	Gaps = int(GapBackplane) + 1
)

// String returns the reason as it stands in the event.
func (g Gap) String() string {
	return [...]string{"", "restart", "evicted", "unknown", "backplane"}[g]
}

// appendGap appends the fields of a gap event, without an id.
func (b *Broker) appendGap(dst []byte, why Gap, epoch string, oldest, head uint64) []byte {
	ids := b.opts.History > 0
	dst = append(dst, "event: "+GapType+"\ndata: {\"reason\":\""...)
	dst = append(dst, why.String()...)
	dst = append(dst, "\",\"oldest\":\""...)
	if ids && oldest > 0 {
		dst = appendID(dst, epoch, b.number(oldest))
	}
	dst = append(dst, "\",\"head\":\""...)
	if ids {
		dst = appendID(dst, epoch, b.number(head))
	}
	return append(dst, "\"}\n"...)
}

// A gap that comes while streams are open is a property of its channel: the place in
// the order before which something may be missing, and why. A reader that has not
// everything up to there, a client that resumes included, is told when it is brought past.
// Of several gaps of a channel the newest counts: a reader that has been told of it has
// been told of all. Its reason is a restart if a loop has yet to tell of one, which says
// more than any other reason.
//
// The gap is no message. It is in no log, and evicts nothing; a loop with subscribers
// of the channel has one entry for it, and makes an event of it when its turn comes.

// postGapLocked tells the subscribers of c, those to come included, that something may be
// missing before this place in the order. It does not wait for
// room: an entry is small, there is one a channel, and losing it would be silent.
func (b *Broker) postGapLocked(c *Channel, why Gap) {
	if c.why == GapRestart && slices.ContainsFunc(c.loops, func(a attachment) bool { return a.gap != 0 }) {
		why = GapRestart
	}
	if b.tellGapLocked(c, b.gapPlaceLocked(), why) {
		b.gaps[why]++
	}
	if b.tap != nil {
		b.tap.gap(c.name, why)
	}
}

// tellGapLocked has the loops tell a gap of c, which is the newest of all. It returns whether
// it is one more: not if all of them have yet to tell the one before.
func (b *Broker) tellGapLocked(c *Channel, place uint64, why Gap) (counts bool) {
	c.gap, c.why, c.unfollowed = place, why, false
	if !c.followed {
		return false // no stream has begun
	}
	for i := range c.loops {
		a := &c.loops[i]
		if a.inbox.moved {
			continue
		}
		if a.gap != 0 {
			a.inbox.gaps.remove(a.gap)
		} else {
			counts = true
		}
		a.gap = a.inbox.gaps.push(c)
		if !a.inbox.gapped.Swap(true) && a.inbox.Len() == 0 { // who has yet to take messages looks afterwards
			b.mu.wakeLater(a.inbox)
		}
	}
	return counts
}

// loseLocked is postGap for a channel that there need not be.
func (b *Broker) loseLocked(name string, why Gap) {
	if c := b.channels[name]; c != nil {
		b.postGapLocked(c, why)
	} else {
		b.forgotten.add(name, b.gapPlaceLocked()) // it may be back before its engine has let go of it
		if b.tap != nil {
			b.tap.gap(name, why)
		}
	}
}

// lack notes that messages before a place may be missing on c, on which no stream has
// begun.
func (c *Channel) lack(before uint64) {
	if before > c.gap {
		c.gap, c.why, c.unfollowed = before, GapBackplane, true
	}
}

// lost returns the place up to which something is missing on c that its backplane does not
// know of.
func (c *Channel) lost() uint64 {
	if c.unfollowed {
		return c.evicted
	}
	return max(c.evicted, c.gap)
}

// gapPlaceLocked returns the place of a gap that comes now: above the cursors of all
// subscribers, so a new one unless the newest is another gap's, and no stream has been
// brought to it.
func (b *Broker) gapPlaceLocked() uint64 {
	if b.shared == 0 || b.seq != b.shared || b.tap != nil { // a successor's streams may have been brought to it
		b.seq++
		b.shared = b.seq
	}
	return b.seq
}

// gapNotice has the facts that a reader is told of a channel's gap.
type gapNotice struct {
	channel *Channel
	seq     uint64 // the gap's place
	oldest  uint64 // sequence of the oldest message kept, 0 for none
	evicted uint64
	why     Gap
}

// notice returns the facts of a channel's gap as they are now.
func (c *Channel) notice() gapNotice {
	n := gapNotice{channel: c, seq: c.gap, evicted: c.evicted, why: c.why}
	if c.log.count() > 0 {
		n.oldest = c.log.at(0).Seq
	}
	return n
}

// message makes the event of a gap. It is kept nowhere.
func (n *gapNotice) message(b *Broker, epoch string) *Message {
	const room = 256 // for most epochs
	wire := b.appendGap(make([]byte, 0, room), n.why, epoch, n.oldest, n.seq)
	if b.opts.History > 0 {
		wire = appendIDLine(wire, epoch, b.number(n.seq))
	}
	return &Message{Seq: n.seq, Channel: n.channel, Wire: append(wire, '\n'), Evicted: n.evicted}
}

// Gaps appends to dst, as messages and in order, the gaps that the owner of the inbox has to
// tell before it goes on to a message of the sequence next, or, with 0, to the messages in
// the inbox: limit at most. It returns true if there are more, which may be at the place
// of the last. Those messages are not to be reported as served.
func (in *Inbox) Gaps(dst []*Message, next uint64, limit int) (_ []*Message, more bool) {
	var room [lossSlice]gapNotice // the events are made when the lock has been given up
	notices, epoch, more := in.takeGaps(room[:0], next, limit)
	for i := range notices {
		dst = append(dst, notices[i].message(in.broker, epoch))
	}
	return dst, more
}

// OldestGap returns the place of the first gap that the owner of the inbox has to tell, 0 if there
// is none.
func (in *Inbox) OldestGap() uint64 {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := in.gaps.oldest(); c != nil {
		return c.gap
	}
	return 0
}

// takeGaps is Gaps without the events, and with the epoch of these.
func (in *Inbox) takeGaps(dst []gapNotice, next uint64, limit int) (_ []gapNotice, epoch string, more bool) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if next == 0 {
		next = in.first()
	}
	for c := in.gaps.oldest(); c != nil && c.gap < next; c = in.gaps.oldest() {
		if limit == 0 {
			return dst, b.epoch, true
		}
		limit--
		dst = append(dst, c.notice())
		c.told(in)
		b.shared = 0
	}
	return dst, b.epoch, false
}

// addGapsLocked puts the gaps of chans that a reader has not been told of into the messages
// that it gets, dst[first:], which are in order, and all there are unless cut. Called with
// mu held.
func (b *Broker) addGapsLocked(dst []*Message, first int, after uint64, cut bool, chans []*Channel) []*Message {
	last := uint64(math.MaxUint64)
	if cut {
		last = dst[len(dst)-1].Seq
	}
	for _, c := range chans {
		if c.gap <= after || c.gap >= last {
			continue
		}
		i := len(dst)
		for i > first && dst[i-1].Seq > c.gap {
			i--
		}
		if i > first && dst[i-1].Seq == c.gap {
			continue // told together with that of another channel
		}
		dst = append(dst, nil)
		copy(dst[i+1:], dst[i:])
		n := c.notice()
		dst[i] = n.message(b, b.epoch)
		b.shared = 0
	}
	return dst
}
