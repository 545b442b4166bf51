package channels

import (
	"math"
	"sync"
	"sync/atomic"
)

// Inbox is where one loop receives the messages of the channels it attached
// to, in the order of their sequence. Posting is safe for concurrent use;
// Take is for the loop that owns the inbox.
type Inbox struct {
	wake func()

	mu    sync.Mutex
	msgs  []*Message
	ready []*Channel
	asked []*Channel

	// unserved is the size of what was posted and not yet reported by
	// Broker.Served, in bytes. Guarded by Broker.mu.
	unserved int
	// gaps are those to be told, see Broker.Gaps. Guarded by Broker.mu.
	gaps gapList
	// gapped tells that there are some.
	gapped atomic.Bool
}

// NewInbox returns an inbox whose owner is woken by wake: once a burst, when a
// message comes into the empty inbox. wake runs on whatever goroutine has posted, which
// holds no lock of the broker, so it must not block.
func NewInbox(wake func()) *Inbox { return &Inbox{wake: wake} }

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

// Gapped tells whether there are gaps to be told, by Broker.Gaps: of those that came
// before a message that was taken it does not fail to. Safe for concurrent use.
func (in *Inbox) Gapped() bool { return in.gapped.Load() }

// Take returns everything that waits and leaves spare, emptied, for what comes
// next: the owner passes back the slice it got before. Loop-owned.
func (in *Inbox) Take(spare []*Message) []*Message {
	clear(spare) // the messages must not outlive their serving
	in.mu.Lock()
	msgs := in.msgs
	in.msgs = spare[:0]
	in.mu.Unlock()
	return msgs
}

// ask asks the owner, who has to be woken, what its readers of c need.
func (in *Inbox) ask(c *Channel) {
	in.mu.Lock()
	in.asked = append(in.asked, c)
	in.mu.Unlock()
}

// TakeAsked returns the channels of which it is asked what readers need, see
// Broker.Need, which most often are none, and leaves spare, emptied, for those to come.
// Loop-owned.
func (in *Inbox) TakeAsked(spare []*Channel) []*Channel {
	clear(spare)
	in.mu.Lock()
	asked := in.asked
	in.asked = spare[:0]
	in.mu.Unlock()
	return asked
}

// postReady tells the owner, who has to be woken, that subscribers of c which wait may
// begin.
func (in *Inbox) postReady(c *Channel) {
	in.mu.Lock()
	in.ready = append(in.ready, c)
	in.mu.Unlock()
}

// TakeReady returns the channels whose waiting subscribers may begin, which most
// often are none, and leaves spare, emptied, for those to come. Loop-owned.
func (in *Inbox) TakeReady(spare []*Channel) []*Channel {
	clear(spare)
	in.mu.Lock()
	ready := in.ready
	in.ready = spare[:0]
	in.mu.Unlock()
	return ready
}
