package channels

import (
	"math"
	"sync"
	"sync/atomic"
)

// Inbox is the part of the broker that one loop has: it is attached to the channels of the loop's
// subscribers, and receives their messages, in the order of their sequence. Its methods
// are for the loop that owns it; nothing of the broker waits for that but publishers.
type Inbox struct {
	broker *Broker
	wake   func()

	mu       sync.Mutex
	msgs     []*Message
	followed []*Channel
	asked    []*Channel

	// unserved is the size of the messages that were posted and not yet reported by
	// Served, in bytes. Guarded by Broker.mu.
	unserved int
	// moved tells that the loop's streams are a successor's. Guarded by Broker.mu.
	moved bool
	// away are the messages that were not served when the streams moved, for TakeBack: at
	// most maxUnserved, until that or until the process ends. Loop-owned.
	away []*Message
	// gaps are those to be told, see Gaps. Guarded by Broker.mu.
	gaps gapList
	// gapped tells that there are some.
	gapped atomic.Bool
	window window // loop-owned
}

// NewInbox returns an inbox whose owner is woken by wake: once a burst, when a
// message comes into the empty inbox. wake runs on the goroutine that has posted, which
// holds no lock of the broker, so it must not block.
func (b *Broker) NewInbox(wake func()) *Inbox { return &Inbox{broker: b, wake: wake} }

// post appends m. It returns true when m is the first: then the owner has to be
// woken.
func (in *Inbox) post(m *Message) (first bool) {
	in.mu.Lock()
	first = len(in.msgs) == 0
	in.msgs = append(in.msgs, m)
	in.mu.Unlock()
	return first
}

// Len returns how many messages wait. Safe for concurrent use.
func (in *Inbox) Len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.msgs)
}

// first returns the sequence of the first message that waits, or one above all.
func (in *Inbox) first() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.msgs) == 0 {
		return math.MaxUint64
	}
	return in.msgs[0].Seq
}

// Gapped tells whether there are gaps to be told, by Gaps: of those that came
// before a message that was taken it does not fail to. Safe for concurrent use.
func (in *Inbox) Gapped() bool { return in.gapped.Load() }

// Take returns everything that waits and leaves spare, emptied, for the next messages:
// the owner passes back the slice it got before. Loop-owned.
func (in *Inbox) Take(spare []*Message) []*Message {
	clear(spare) // the messages must not outlive their serving
	in.mu.Lock()
	msgs := in.msgs
	in.msgs = spare[:0]
	in.mu.Unlock()
	return msgs
}

// ask asks the owner, which has to be woken, for the messages that its readers of c need.
func (in *Inbox) ask(c *Channel) {
	in.mu.Lock()
	in.asked = append(in.asked, c)
	in.mu.Unlock()
}

// TakeAsked returns the channels about which the loop is asked what readers need (see
// Need), most often none, and leaves spare, emptied, for those to come.
// Loop-owned.
func (in *Inbox) TakeAsked(spare []*Channel) []*Channel {
	clear(spare)
	in.mu.Lock()
	asked := in.asked
	in.asked = spare[:0]
	in.mu.Unlock()
	return asked
}

// postFollowed tells the owner, who has to be woken, that subscribers of c which wait may
// begin.
func (in *Inbox) postFollowed(c *Channel) {
	in.mu.Lock()
	in.followed = append(in.followed, c)
	in.mu.Unlock()
}

// TakeFollowed returns the channels whose waiting subscribers may begin, which most
// often are none, and leaves spare, emptied, for those to come. Loop-owned.
func (in *Inbox) TakeFollowed(spare []*Channel) []*Channel {
	clear(spare)
	in.mu.Lock()
	followed := in.followed
	in.followed = spare[:0]
	in.mu.Unlock()
	return followed
}

// Served tells that the owner has done with msgs, which it took from the inbox, and lets
// waiting publishers go on.
func (in *Inbox) Served(msgs []*Message) {
	b := in.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(msgs) > 0 {
		c, size := msgs[0].Channel, 0
		for len(msgs) > 0 && msgs[0].Channel == c { // most often a turn is of few channels
			size += msgs[0].size()
			msgs = msgs[1:]
		}
		c.served(in, size)
		in.unserved -= size
	}
	b.wakePublishersLocked()
}
