package channels

import (
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"
)

// maxUnserved is how much may wait for one loop, in bytes. Publishers wait
// above it, so a flood of them is slowed to the speed of the slowest loop.
const maxUnserved = 1 << 20

// DefaultPublishTimeout bounds how long a publisher waits for a loop.
const DefaultPublishTimeout = 5 * time.Second

// ErrBusy is what Publish returns when a loop has not caught up in time.
var ErrBusy = errors.New("an event loop is too far behind, the event was not published: publish again later")

// Options of a Broker. Zero fields mean the defaults, but for History; none may
// be negative.
type Options struct {
	// History is how many messages a channel keeps when nobody listens. With
	// 0 it keeps none, and events carry no id.
	History int
	// MaxKept bounds the kept messages of all channels, in bytes, with the
	// channels that are there only for them; the oldest go first, whatever
	// History says.
	MaxKept int
	// MaxEventBytes bounds Data and Type of one event.
	MaxEventBytes int
	// PublishTimeout bounds how long Publish waits for a loop that is behind.
	PublishTimeout time.Duration
	// Epoch names this run of the broker in event ids, without line breaks and
	// NUL; drawn at random when empty.
	Epoch string
}

// Broker owns the channels and the order of their messages. All of its methods
// are safe for concurrent use.
type Broker struct {
	opts   Options
	idSize int // length of the longest id line; 0 when events carry none

	mu       sync.Mutex
	seq      uint64 // of the newest message
	channels map[string]*Channel
	kept     retention
	// forgotten is the sequence of the newest message that went together with
	// its channel. A channel of that name, opened again, must not pretend to
	// have everything.
	forgotten uint64
	// room is closed when a loop may have room for those who wait for it; nil
	// when nobody waits.
	room chan struct{}
}

// NewBroker returns an empty broker.
func NewBroker(opts Options) *Broker {
	if opts.MaxKept == 0 {
		opts.MaxKept = DefaultMaxKept
	}
	if opts.MaxEventBytes == 0 {
		opts.MaxEventBytes = DefaultMaxEventBytes
	}
	if opts.PublishTimeout == 0 {
		opts.PublishTimeout = DefaultPublishTimeout
	}
	if opts.Epoch == "" {
		opts.Epoch = rand.Text()[:10] // 50 bits: two runs do not share an epoch
	}
	b := &Broker{opts: opts, channels: make(map[string]*Channel)}
	if opts.History > 0 {
		b.idSize = len("id: -\n") + len(opts.Epoch) + maxDecimal
	}
	return b
}

// Publish gives ev the next place in the order of all messages and hands it to
// every loop with subscribers of the channel. It returns how many there are at
// that place in the order. ev.Data is not kept. When a loop is so far behind
// that memory would grow, Publish waits, at most Options.PublishTimeout, and
// then returns ErrBusy; other errors wrap ErrName, ErrEventTooLarge,
// ErrEventData, ErrEventType or ErrEventRetry.
func (b *Broker) Publish(channel string, ev Event) (receivers int, err error) {
	if err := CheckName([]byte(channel)); err != nil {
		return 0, err
	}
	if err := ev.check(b.opts.MaxEventBytes); err != nil {
		return 0, err
	}
	// All but the id is encoded before the lock is taken; the id comes last.
	wire := ev.appendFields(make([]byte, 0, ev.fieldsSize()+b.idSize+len("\n")))

	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := b.awaitRoom(channel)
	if err != nil {
		return 0, err
	}
	b.seq++
	if c == nil {
		if b.opts.History == 0 {
			b.forgotten = b.seq
			return 0, nil
		}
		c = b.open(channel)
	}
	if b.opts.History > 0 {
		wire = append(wire, "id: "...)
		wire = appendID(wire, b.opts.Epoch, b.seq)
		wire = append(wire, '\n')
	}
	m := &Message{Seq: b.seq, Channel: c, Wire: append(wire, '\n')}
	b.keep(m)
	m.Evicted = c.evicted
	for i := range c.loops {
		in := c.loops[i].inbox
		in.unserved += m.size()
		in.post(m)
	}
	return c.subscribers, nil
}

// awaitRoom returns the channel, nil when there is none, once every loop that
// listens to it has room. Called with mu held, which it gives up to wait.
func (b *Broker) awaitRoom(channel string) (*Channel, error) {
	var timeout <-chan time.Time
	for {
		c := b.channels[channel]
		if c == nil || !c.crowded() {
			return c, nil
		}
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		if timeout == nil {
			timer := time.NewTimer(b.opts.PublishTimeout)
			defer timer.Stop()
			timeout = timer.C
		}
		b.mu.Unlock()
		select {
		case <-room:
			b.mu.Lock()
		case <-timeout:
			b.mu.Lock()
			return nil, ErrBusy
		}
	}
}

// Served tells that the owner of in has done with msgs, which it took from the
// inbox, and lets waiting publishers go on.
func (b *Broker) Served(in *Inbox, msgs []*Message) {
	size := 0
	for _, m := range msgs {
		size += m.size()
	}
	b.mu.Lock()
	in.unserved -= size
	b.resume()
	b.mu.Unlock()
}

// resume has waiting publishers look again for room. Called with mu held.
func (b *Broker) resume() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// Attach counts one subscriber of each of names on the loop that owns in, and
// returns the channels, appended to dst, with the cursor from which the
// subscriber has everything: what is published later reaches the inbox, what
// was published before does not concern it. The names must pass CheckName and
// differ from each other.
func (b *Broker) Attach(in *Inbox, dst []*Channel, names ...[]byte) ([]*Channel, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[string(name)]
		if c == nil {
			c = b.open(string(name))
		}
		c.attach(in)
		b.assess(c)
		dst = append(dst, c)
	}
	return dst, b.seq
}

// Detach takes back one subscriber of each of chans on the loop that owns in,
// which must be attached to them.
func (b *Broker) Detach(in *Inbox, chans ...*Channel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range chans {
		if c.detach(in) {
			b.resume() // publishers need not wait for a loop that has left
		}
		b.trim(c)
	}
	b.bound()
}

// Since appends to dst what was published on chans after cursor, in order: at
// least one message if there is any, and no more once their wire forms reach
// maxBytes, which is at least 1. It returns false, and nothing, when some of it
// may no longer be kept. chans must be attached by the caller.
func (b *Broker) Since(dst []*Message, cursor uint64, maxBytes int, chans ...*Channel) ([]*Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var onStack [64]int
	next := onStack[:0] // next[i] is the place in the log of chans[i]
	for _, c := range chans {
		if c.evicted > cursor {
			return dst, false
		}
		next = append(next, c.log.after(cursor))
	}
	for size := 0; size < maxBytes; {
		var first *Message
		var from int
		for i, c := range chans {
			if next[i] == c.log.n {
				continue
			}
			if m := c.log.at(next[i]); first == nil || m.Seq < first.Seq {
				first, from = m, i
			}
		}
		if first == nil {
			break
		}
		next[from]++
		dst = append(dst, first)
		size += len(first.Wire)
	}
	return dst, true
}

// Subscribers returns how many subscribers the channel has on this node.
func (b *Broker) Subscribers(channel string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[channel]; c != nil {
		return c.subscribers
	}
	return 0
}

// Channels returns the names of the channels with at least one subscriber,
// sorted.
func (b *Broker) Channels() []string {
	b.mu.Lock()
	names := make([]string, 0, len(b.channels))
	for name, c := range b.channels {
		if c.subscribers > 0 {
			names = append(names, name)
		}
	}
	b.mu.Unlock()
	slices.Sort(names)
	return names
}

// open adds the channel. Called with mu held.
func (b *Broker) open(name string) *Channel {
	c := &Channel{name: name, evicted: b.forgotten}
	b.channels[name] = c
	return c
}
