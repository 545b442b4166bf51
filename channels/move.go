package channels

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrEvicted is returned by AttachAt where messages that a loop has yet to serve are no
// longer kept.
var ErrEvicted = errors.New("messages that are to be served are no longer kept")

// noneHeld is the value of Broker.heldAbove without an upgrade.
const noneHeld = math.MaxUint64

// moveSlice is how many channels are attached while the broker is held up.
const moveSlice = 256

// HandOver ends what the inbox gets: the streams of its loop are a successor's, which is to
// attach them at k. The loop has served everything up to k, and its streams' cursors tell
// which of them have had more, up to head at most. unserved are the messages that it has taken and not reported
// as served, without gaps; a loop that has gaps under way takes a k below them. Its
// subscribers still count as receivers. Loop-owned.
func (in *Inbox) HandOver(unserved []*Message) (k, head uint64) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	in.moved = true
	in.mu.Lock()
	waiting := in.msgs
	in.msgs = nil
	in.mu.Unlock()
	k = b.seq
	in.away = slices.Concat(unserved, waiting)
	for _, m := range in.away {
		k = min(k, m.Seq-1)
		m.Channel.served(in, m.size())
		in.unserved -= m.size()
	}
	if c := in.gaps.oldest(); c != nil {
		k = min(k, c.gap-1)
	}
	b.shared = 0 // its streams may have been brought to that place
	b.wakePublishersLocked()
	return k, b.seq
}

// TakeBack undoes HandOver, when the successor is dead: the inbox gets the messages and gaps
// of its channels above k, whether their streams have had them or not, and then all that
// come. What HandOver was called with is among them, whether it is kept by now or not. Streams that wait for a channel to be followed are to begin anew (Begin). Loop-owned.
func (in *Inbox) TakeBack(k uint64, chans ...*Channel) {
	b := in.broker
	b.mu.Lock()
	in.moved = false
	upTo := b.seq
	b.mu.Unlock()
	var late arrears
	for part := range slices.Chunk(chans, moveSlice) {
		b.mu.Lock()
		for _, c := range part {
			late.addLocked(in, c, k, upTo)
		}
		b.mu.Unlock()
	}
	late.addAway(in)
	in.catch(&late)
}

// AttachAt is Attach for the streams of a predecessor's loop, with how many each channel has:
// the inbox gets the messages and gaps of the channels above k, and then all that come. Before,
// it waits for relays up to head, at most Options.PublishTimeout. If the inbox may lack
// messages, the error wraps ErrEvicted. After an error the broker is of no use. Loop-owned.
func (in *Inbox) AttachAt(dst []*Channel, k, head uint64, names [][]byte, subscribers []int32) ([]*Channel, error) {
	if err := in.broker.awaitPlace(head); err != nil {
		return dst, err
	}
	var late arrears
	for first := 0; first < len(names); first += moveSlice {
		last := min(first+moveSlice, len(names))
		var err error
		if dst, err = in.attachAt(dst, &late, k, names[first:last], subscribers[first:last]); err != nil {
			return dst, err
		}
	}
	in.catch(&late)
	return dst, nil
}

// attachAt is AttachAt of a slice.
func (in *Inbox) attachAt(dst []*Channel, late *arrears, k uint64, names [][]byte, subscribers []int32) ([]*Channel, error) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, name := range names {
		if c := b.channels[string(name)]; c != nil && c.evicted > k {
			return dst, fmt.Errorf("%w: of %q up to %d, want those above %d", ErrEvicted, name, c.evicted, k)
		}
		c := b.attachLocked(in, name, subscribers[i])
		late.addLocked(in, c, k, math.MaxUint64)
		dst = append(dst, c)
	}
	return dst, nil
}

// arrears are what came on channels before the inbox got them.
type arrears struct {
	msgs     []*Message
	gaps     []*Channel
	followed []*Channel
}

// addLocked adds the messages of c above k and up to a place, and its gap.
func (l *arrears) addLocked(in *Inbox, c *Channel, k, upTo uint64) {
	a := &c.loops[c.find(in)]
	for i := c.log.after(k); i < c.log.count() && c.log.at(i).Seq <= upTo; i++ {
		m := c.log.at(i)
		l.msgs = append(l.msgs, m)
		a.unserved += int32(m.size())
		in.unserved += m.size()
	}
	if c.gap > k && c.followed {
		l.gaps = append(l.gaps, c)
	}
	if c.followed && in.broker.Linked() {
		l.followed = append(l.followed, c)
	}
}

// addAway adds the messages that the inbox had when HandOver was called and that the logs have
// dropped since, as they may if a message is older than the upgrade.
func (l *arrears) addAway(in *Inbox) {
	l.sort()
	dropped := slices.DeleteFunc(in.away, func(m *Message) bool {
		_, isKept := slices.BinarySearchFunc(l.msgs, m.Seq, func(kept *Message, seq uint64) int { return cmp.Compare(kept.Seq, seq) })
		return isKept
	})
	in.away = nil
	for part := range slices.Chunk(dropped, moveSlice) {
		in.broker.mu.Lock()
		for _, m := range part {
			if i := m.Channel.find(in); i >= 0 { // else it has no streams here any more
				l.msgs = append(l.msgs, m)
				m.Channel.loops[i].unserved += int32(m.size())
				in.unserved += m.size()
			}
		}
		in.broker.mu.Unlock()
	}
}

// sort orders the messages.
func (l *arrears) sort() {
	slices.SortFunc(l.msgs, func(x, y *Message) int { return cmp.Compare(x.Seq, y.Seq) })
}

// catch puts arrears into the inbox, in their place before what has come meanwhile.
func (in *Inbox) catch(late *arrears) {
	late.sort()
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	in.mu.Lock()
	in.msgs = Merge(make([]*Message, 0, len(late.msgs)+len(in.msgs)), late.msgs, in.msgs)
	in.followed = append(in.followed, late.followed...)
	in.mu.Unlock()
	if len(late.gaps) > 0 {
		in.orderGapsLocked(late.gaps)
	}
	b.mu.wakeLater(in)
}

// orderGapsLocked adds the gaps of chans to those to be told, in the order of their places.
func (in *Inbox) orderGapsLocked(chans []*Channel) {
	for c := in.gaps.oldest(); c != nil; c = in.gaps.oldest() {
		chans = append(chans, c)
		c.told(in)
	}
	slices.SortFunc(chans, func(x, y *Channel) int {
		return cmp.Or(cmp.Compare(x.gap, y.gap), cmp.Compare(x.name, y.name))
	})
	for _, c := range slices.Compact(chans) {
		c.loops[c.find(in)].gap = in.gaps.push(c)
	}
	in.gapped.Store(true)
}
