package channels

import (
	"encoding/binary"

	"millrace/internal/handover"
)

// walk is how far a tap has come with what there was when it began: the forgotten
// channels, then the channels in the order of their names, each with its messages. It goes on
// a slice at a time, and channels change between two: those that it has come by are noted as
// they change, the others are sent as they are when it comes by. Guarded by Broker.mu.
type walk struct {
	page  int    // of the forgotten, the next
	last  string // channels below have been sent
	whole bool   // and this one too; else it is under way, up to a message
	after uint64 // its sequence
	done  bool
}

const (
	// walkSlice and walkBytes bound a slice: channels and messages together, and the wire
	// forms of these. A slice takes less than 1 ms.
	walkSlice = 1024
	walkBytes = 256 << 10
)

// has tells whether the walk has come by a channel.
func (w *walk) has(name string) bool {
	return w.done || name < w.last || w.whole && name == w.last
}

// again has the walk begin anew with c, if that is under way.
func (w *walk) again(c *Channel) {
	if !w.whole && w.last == c.name {
		w.after = 0
	}
}

// walkLocked sends the next slice.
func (t *Tap) walkLocked() {
	b, w := t.broker, &t.walk
	if w.done {
		return
	}
	left, bytes := walkSlice, walkBytes
	for ; w.page < len(b.forgotten.pages) && bytes > 0; w.page++ {
		if page := b.forgotten.pages[w.page]; page != nil {
			buckets := appendPage(nil, page)
			t.push(handover.PartForgotten, &handover.ForgottenPage{Index: uint16(w.page), Buckets: buckets})
			bytes -= len(buckets)
		}
	}
	more := w.page < len(b.forgotten.pages)
	if !more {
		b.ordered.from(w.last, func(c *Channel) bool {
			if w.whole && c.name == w.last {
				return true
			}
			more = left <= 0 || bytes <= 0 || !t.walkOn(c, &left, &bytes)
			return !more
		})
	}
	if !more {
		w.done = true
		t.push(handover.PartRestored, new(handover.Empty))
	}
}

// walkOn sends a channel, or as much of it as the slice has room for. It returns true when it
// is whole.
func (t *Tap) walkOn(c *Channel, left, bytes *int) bool {
	w := &t.walk
	state := t.state(c)
	if w.last != c.name || w.after == 0 {
		w.last, w.whole, w.after = c.name, false, 0
		state.Flags |= handover.ChannelCleared
	}
	*left--
	i, n := c.log.after(max(w.after, c.evicted)), c.log.count() // without History, some may count as evicted
	if n > 0 || t.isWorthSending(c, state) {
		t.push(handover.PartChannel, state)
	}
	for ; i < n && *left > 0 && *bytes > 0; i++ {
		m := c.log.at(i)
		t.push(handover.PartKept, t.kept(m))
		w.after = m.Seq
		*left--
		*bytes -= len(m.Wire)
	}
	w.whole = i == n
	return w.whole
}

// isWorthSending tells whether a channel without messages is another than one that is opened
// anew.
func (t *Tap) isWorthSending(c *Channel, s *handover.ChannelState) bool {
	return s.Evicted|s.Gap|s.Published != 0 || s.Flags != handover.ChannelCleared || t.broker.forgotten.of(c.name) != 0
}

// pageSize is the length of a page of the forgotten as it travels.
const forgottenPageSize = (1 << pageShift) * (8 + bucketNames*(8+4))

// appendPage appends a page of the forgotten: of each bucket the floor, the sequences and the
// tags.
func appendPage(dst []byte, page *[1 << pageShift]bucket) []byte {
	for i := range page {
		p := &page[i]
		dst = binary.LittleEndian.AppendUint64(dst, p.floor)
		for _, seq := range p.seqs {
			dst = binary.LittleEndian.AppendUint64(dst, seq)
		}
		for _, tag := range p.tags {
			dst = binary.LittleEndian.AppendUint32(dst, tag)
		}
	}
	return dst
}

// parsePage takes apart what appendPage has made; false for another length.
func parsePage(src []byte) (page *[1 << pageShift]bucket, ok bool) {
	if len(src) != forgottenPageSize {
		return nil, false
	}
	page = new([1 << pageShift]bucket)
	for i := range page {
		p := &page[i]
		p.floor, src = binary.LittleEndian.Uint64(src), src[8:]
		for j := range p.seqs {
			p.seqs[j], src = binary.LittleEndian.Uint64(src), src[8:]
		}
		for j := range p.tags {
			p.tags[j], src = binary.LittleEndian.Uint32(src), src[4:]
		}
	}
	return page, true
}
