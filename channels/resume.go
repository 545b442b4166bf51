package channels

import (
	"slices"
	"strconv"
)

// Earliest is the last event id of a client that wants all that is kept.
const Earliest = "earliest"

// StartType is the type of the event that a stream begins with where there are event ids.
// Its data is JSON: whether the stream goes on after the last event id that its client
// came with, and the id after which it begins; and its renewal, if there is one.
const StartType = ownTypes + "start"

// Start is where a subscriber begins. One value can be used over and over: its
// slices keep their memory.
type Start struct {
	// Channels are those that it is attached to.
	Channels []*Channel
	// Missed are the messages that it gets first: all that it missed, or as many as
	// CatchUp would return.
	Missed []*Message
	// Cursor is the sequence up to which it has everything, before Missed.
	Cursor uint64
	// Told has the losses that cannot lap it and need not be told later: Gap tells of
	// them, or they were not for it.
	Told Told
	// Head is the sequence of the newest message or gap.
	Head uint64
	// Gap is the gap that it has to be told before anything else.
	Gap Gap
	// Resumed says that it goes on after its last event id, and misses nothing.
	Resumed bool
	// Renewal is what the client can open its next stream with; empty for most. It is
	// printable ASCII, for AppendStart, and set after Join or Begin.
	Renewal string

	epoch  string // of the sequences
	oldest uint64 // sequence of the oldest message kept, for the gap event; 0 for none
	id     uint64 // for the last event id that stands for Cursor
}

// Told has the losses from before a reader came. The zero value is of a reader that has had
// everything up to its cursor.
type Told struct {
	// Gaps is the sequence up to which the gaps of its channels are told.
	Gaps uint64
	// Floors has, for each of its channels, the sequence up to which not everything was
	// kept; none where that is nowhere above its cursor.
	Floors []uint64
}

// Clone returns a copy with slices of its own.
func (t Told) Clone() Told { return Told{t.Gaps, slices.Clone(t.Floors)} }

// Floor returns that of a reader's i-th channel.
func (t *Told) Floor(i int) uint64 {
	if len(t.Floors) == 0 {
		return 0
	}
	return t.Floors[i]
}

// Join attaches a subscriber as Attach does, and begins it as Begin does.
func (in *Inbox) Join(s *Start, lastID []byte, maxBytes int, names ...[]byte) (begun bool) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Channels = s.Channels[:0]
	for _, name := range names {
		s.Channels = append(s.Channels, b.attachLocked(in, name, 1))
	}
	return b.beginLocked(s, lastID, maxBytes)
}

// Begin fills s with the place where a subscriber of s.Channels, attached, begins: after
// the message of its last event id if that is of this epoch; else, after a gap, with the
// oldest that is kept; at the head if it has no id. Missed is
// limited to maxBytes. It returns false, and no more than s.Channels, while the
// backplane does not yet deliver all of them: then it is to be called again when
// Inbox.TakeFollowed has one of them.
func (in *Inbox) Begin(s *Start, lastID []byte, maxBytes int) (begun bool) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beginLocked(s, lastID, maxBytes)
}

// beginLocked is Begin, whichever inbox has the channels.
func (b *Broker) beginLocked(s *Start, lastID []byte, maxBytes int) (begun bool) {
	for _, c := range s.Channels {
		if !c.followed {
			return false
		}
	}
	b.dropAgedLocked(s.Channels...)
	*s = Start{
		Channels: s.Channels, Missed: s.Missed[:0], Cursor: b.seq, Head: b.seq,
		Told:  Told{Gaps: b.seq, Floors: s.Told.Floors[:0]},
		epoch: b.epoch, id: b.seq,
	}
	b.shared = 0
	if len(lastID) > 0 {
		b.locateLocked(s, lastID)
	}
	if s.Gap == NoGap && slices.ContainsFunc(s.Channels, func(c *Channel) bool { return c.refused }) {
		s.Gap = GapBackplane
	}
	if s.Gap != NoGap {
		b.gaps[s.Gap]++
	}
	if s.Cursor < s.Head {
		b.setFloorsLocked(s)
		s.Missed, _ = b.catchUpLocked(s.Missed, s.Cursor, s.Told, maxBytes, s.Channels)
	}
	return true
}

// setFloorsLocked sets the floors of s where there are some above its cursor.
func (b *Broker) setFloorsLocked(s *Start) {
	if !slices.ContainsFunc(s.Channels, func(c *Channel) bool { return c.evicted > s.Cursor }) {
		return
	}
	for _, c := range s.Channels {
		s.Told.Floors = append(s.Told.Floors, c.evicted)
	}
}

// locateLocked sets where a subscriber with a last event id begins.
func (b *Broker) locateLocked(s *Start, lastID []byte) {
	after, known := uint64(0), false // from the oldest on
	if b.opts.History == 0 {         // kept messages are for readers that are behind
		if string(lastID) != Earliest {
			s.Gap = GapUnknown
		}
		return
	}
	if string(lastID) != Earliest {
		epoch, number, ok := parseID(lastID)
		switch {
		case !ok:
			s.Gap = GapUnknown
		case string(epoch) != b.epoch:
			s.Gap = GapRestart
		case b.opts.Numbered && number > MaxNumber, !b.opts.Numbered && number > b.seq:
			s.Gap = GapUnknown
		default:
			after, known = b.sequence(number), true
		}
	}
	for _, c := range s.Channels {
		switch {
		case !known || max(c.evicted, c.gap) <= after || s.Gap == GapEvicted:
		case c.evicted > c.gap:
			s.Gap = GapEvicted
		default:
			s.Gap = c.why
		}
		if c.log.count() == 0 {
			continue
		}
		if first := c.log.at(0).Seq; s.oldest == 0 || first < s.oldest {
			s.oldest = first
		}
		if i := c.log.after(after); i < c.log.count() {
			s.Cursor = min(s.Cursor, c.log.at(i).Seq-1)
		}
	}
	s.Resumed = known && s.Gap == NoGap
	switch {
	case after > s.Head: // of a node that is ahead: nothing up to there may come again
		s.Cursor, s.id = after, after
		b.ahead = max(b.ahead, after)
	case s.Resumed:
		s.id = after
	case s.Cursor < s.Head:
		s.id = s.Cursor
	}
}

// HasIDs tells whether messages have event ids.
func (in *Inbox) HasIDs() bool { return in.broker.hasIDs() }

func (b *Broker) hasIDs() bool { return b.opts.History > 0 }

// AppendStart appends the broker's part of a greeting to the fields in dst, and the blank
// line. With ids that is one event, which says from where to resume if the connection were
// lost before the next: a gap, or else the start. It has data, since many clients take no
// id from an event without. A stream with a renewal has a start in any case, after the gap.
// Safe for concurrent use.
func (in *Inbox) AppendStart(dst []byte, s *Start) []byte {
	b := in.broker
	if s.Gap != NoGap {
		if !b.hasIDs() {
			dst = append(dst, '\n')
		}
		dst = b.appendGap(dst, s.Gap, s.epoch, s.oldest, s.Head)
	}
	if s.Gap == NoGap && b.hasIDs() || s.Renewal != "" {
		if s.Gap != NoGap {
			dst = b.endEvent(dst, s)
		}
		dst = b.appendStart(dst, s)
	}
	return b.endEvent(dst, s)
}

// appendStart appends the fields of the start event, but for the id.
func (b *Broker) appendStart(dst []byte, s *Start) []byte {
	dst = append(dst, "event: "+StartType+"\ndata: {\"resumed\":"...)
	dst = strconv.AppendBool(dst, s.Resumed)
	if b.hasIDs() {
		dst = append(dst, ",\"after\":\""...)
		dst = append(appendID(dst, s.epoch, b.number(s.id)), '"')
	}
	if s.Renewal != "" {
		dst = strconv.AppendQuote(append(dst, ",\"renewal\":"...), s.Renewal)
	}
	return append(dst, "}\n"...)
}

// endEvent appends the id that s stands for, if there are ids, and the blank line.
func (b *Broker) endEvent(dst []byte, s *Start) []byte {
	if b.hasIDs() {
		dst = appendIDLine(dst, s.epoch, b.number(s.id))
	}
	return append(dst, '\n')
}
