package channels

import "sort"

// Earliest, as the last event id of a client, asks for all that is kept.
const Earliest = "earliest"

// GapType is the type of the event that tells a client that it may have missed
// some. Its data is JSON: the reason, and the ids of the oldest message that is
// kept of its channels ("" if there is none) and of the newest message of all.
const GapType = "millrace.gap"

// Gap says why what a client missed cannot all be replayed.
type Gap string

const (
	NoGap      Gap = ""
	GapRestart Gap = "restart" // its last event id is of another epoch
	GapEvicted Gap = "evicted" // some of what it missed is no longer kept
	GapUnknown Gap = "unknown" // its last event id is none of ours
)

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

	oldest, head Position // for the gap event; oldest is zero if nothing is kept
	id           Position // the last event id that stands for Cursor
}

// Resume attaches a subscriber as Attach does, and fills s with where it begins:
// behind the message of its last event id if that is of this epoch, or else,
// after a gap, with the oldest that is kept; at the head if it has no id. Missed
// is limited to maxBytes.
func (b *Broker) Resume(s *Start, in *Inbox, lastID []byte, maxBytes int, names ...[]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire()
	*s = Start{Channels: s.Channels[:0], Missed: s.Missed[:0], Cursor: b.seq, Head: b.seq, head: b.head, id: b.head}
	for _, name := range names {
		s.Channels = append(s.Channels, b.attach(in, name))
	}
	if len(lastID) == 0 {
		return
	}
	b.locate(s, lastID)
	if s.Cursor < s.Head {
		s.Missed, _ = b.since(s.Missed, s.Cursor, s.Floor, maxBytes, s.Channels)
	}
}

// locate sets where a subscriber with a last event id begins. Called with mu
// held.
func (b *Broker) locate(s *Start, lastID []byte) {
	after, known := Position{}, false // from the oldest on
	if string(lastID) != Earliest {
		epoch, p, ok := parseID(lastID)
		switch {
		case !ok || b.opts.History == 0:
			s.Gap = GapUnknown
		case string(epoch) != b.opts.Epoch:
			s.Gap = GapRestart
		case p.compare(b.head) > 0:
			s.Gap = GapUnknown
		default:
			after, known = p, true
		}
	}
	for _, c := range s.Channels {
		s.Floor = max(s.Floor, c.evicted)
		if known && c.lost.compare(after) > 0 {
			s.Gap = GapEvicted
		}
		if c.log.n == 0 {
			continue
		}
		if first := c.log.at(0).position; s.oldest == (Position{}) || first.compare(s.oldest) < 0 {
			s.oldest = first
		}
		if i := c.log.behind(after); i < c.log.n {
			s.Cursor = min(s.Cursor, c.log.at(i).Seq-1)
		}
	}
	switch {
	case known && s.Gap == NoGap:
		s.id = after
	case s.Cursor < s.Head:
		s.id = Position{Minor: s.Cursor}
	}
}

// AppendStart appends to the fields that a stream begins with what the broker has
// to say to its subscriber, and the blank line: the id from which to resume if
// the connection were lost before the first event, or the gap event, which has
// that id. Without history there are no ids. Safe for concurrent use.
func (b *Broker) AppendStart(dst []byte, s *Start) []byte {
	ids := b.opts.History > 0
	if s.Gap != NoGap {
		dst = append(dst, "\nevent: "+GapType+"\ndata: {\"reason\":\""...)
		dst = append(dst, s.Gap...)
		dst = append(dst, "\",\"oldest\":\""...)
		if ids && s.oldest != (Position{}) {
			dst = appendID(dst, b.opts.Epoch, s.oldest)
		}
		dst = append(dst, "\",\"head\":\""...)
		if ids {
			dst = appendID(dst, b.opts.Epoch, s.head)
		}
		dst = append(dst, "\"}\n"...)
	}
	if ids {
		dst = appendIDLine(dst, b.opts.Epoch, s.id)
	}
	return append(dst, '\n')
}

// behind returns the index of the first message whose position is above p; l.n
// when there is none.
func (l *log) behind(p Position) int {
	return sort.Search(l.n, func(i int) bool { return l.at(i).position.compare(p) > 0 })
}
