package channels

import "slices"

// Earliest is the last event id of a client that wants all that is kept.
const Earliest = "earliest"

// Start is where a subscriber begins. One value can be used over and over: its
// slices keep their memory.
type Start struct {
	// Channels are those that it is attached to.
	Channels []*Channel
	// Missed is what it gets first: all that it missed, or as much of it as
	// Since would return.
	Missed []*Message
	// Cursor is the sequence up to which it has everything, before Missed.
	Cursor uint64
	// Floor is the sequence up to which not everything was kept when it came.
	// It cannot be lapped by that: it is told, by Gap, or none of it was for it.
	Floor uint64
	// Head is the sequence of the newest message.
	Head uint64
	// Gap is what it has to be told before anything else.
	Gap Gap

	epoch  string // of the sequences
	oldest uint64 // sequence of the oldest message kept, for the gap event; 0 for none
	id     uint64 // for the last event id that stands for Cursor
}

// Resume attaches a subscriber as Attach does, and begins it as Begin does.
func (b *Broker) Resume(s *Start, in *Inbox, lastID []byte, maxBytes int, names ...[]byte) (begun bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Channels = s.Channels[:0]
	for _, name := range names {
		s.Channels = append(s.Channels, b.attach(in, name))
	}
	return b.begin(s, lastID, maxBytes)
}

// Begin fills s with where a subscriber of s.Channels, attached, begins: behind
// the message of its last event id if that is of this epoch, or else, after a
// gap, with the oldest that is kept; at the head if it has no id. Missed is
// limited to maxBytes. It returns false, and no more than s.Channels, while the
// backplane does not yet deliver all of them: then it is to be called again when
// Inbox.TakeReady has one of them.
func (b *Broker) Begin(s *Start, lastID []byte, maxBytes int) (begun bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begin(s, lastID, maxBytes)
}

// begin is Begin with mu held.
func (b *Broker) begin(s *Start, lastID []byte, maxBytes int) (begun bool) {
	for _, c := range s.Channels {
		if !c.ready {
			return false
		}
	}
	b.expire()
	*s = Start{Channels: s.Channels, Missed: s.Missed[:0], Cursor: b.seq, Head: b.seq, epoch: b.epoch, id: b.seq}
	if len(lastID) > 0 {
		b.locate(s, lastID)
	}
	if s.Gap == NoGap && slices.ContainsFunc(s.Channels, func(c *Channel) bool { return c.refused }) {
		s.Gap = GapBackplane
	}
	if s.Cursor < s.Head {
		s.Missed, _ = b.since(s.Missed, s.Cursor, s.Floor, maxBytes, s.Channels)
	}
	return true
}

// locate sets where a subscriber with a last event id begins. Called with mu
// held.
func (b *Broker) locate(s *Start, lastID []byte) {
	after, known := uint64(0), false // from the oldest on
	if string(lastID) != Earliest {
		epoch, seq, ok := parseID(lastID)
		switch {
		case !ok || b.opts.History == 0:
			s.Gap = GapUnknown
		case string(epoch) != b.epoch:
			s.Gap = GapRestart
		case seq > b.seq && !b.opts.Numbered:
			s.Gap = GapUnknown
		default:
			after, known = seq, true
		}
	}
	for _, c := range s.Channels {
		s.Floor = max(s.Floor, c.evicted)
		switch {
		case known && c.evicted > after:
			s.Gap = GapEvicted
		case known && c.since > after && s.Gap == NoGap:
			s.Gap = GapBackplane
		}
		if c.log.n == 0 {
			continue
		}
		if first := c.log.at(0).Seq; s.oldest == 0 || first < s.oldest {
			s.oldest = first
		}
		if i := c.log.after(after); i < c.log.n {
			s.Cursor = min(s.Cursor, c.log.at(i).Seq-1)
		}
	}
	switch {
	case after > s.Head: // of a node that is ahead: nothing up to there may come again
		s.Cursor, s.id = after, after
	case known && s.Gap == NoGap:
		s.id = after
	case s.Cursor < s.Head:
		s.id = s.Cursor
	}
}

// AppendStart appends to the fields that a stream begins with what the broker has
// to say to its subscriber, and the blank line: the id from which to resume if
// the connection were lost before the first event, or the gap event, which has
// that id. Without history there are no ids. Safe for concurrent use.
func (b *Broker) AppendStart(dst []byte, s *Start) []byte {
	if s.Gap != NoGap {
		dst = append(dst, '\n')
		dst = b.appendGap(dst, s.Gap, s.epoch, s.oldest, s.Head)
	}
	if b.opts.History > 0 {
		dst = appendIDLine(dst, s.epoch, s.id)
	}
	return append(dst, '\n')
}
