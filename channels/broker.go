package channels

import (
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"
)

// Bounds on memory that no flag sets yet, in bytes.
const (
	// maxUnserved is how much may wait for one loop. Publishers wait above it,
	// so a flood of them is slowed to the speed of the slowest loop.
	maxUnserved = 1 << 20
	// backlogBytes is how much of its newest messages a channel with
	// subscribers keeps at least, so that a reader that is behind finds what
	// it missed. Well above maxUnserved: a reader counts as lapped only when
	// it is that much behind its own loop.
	backlogBytes = 4 << 20
	// DefaultMaxKept bounds the kept messages of all channels together.
	DefaultMaxKept = 256 << 20
)

// DefaultPublishTimeout bounds how long a publisher waits for a loop.
const DefaultPublishTimeout = 5 * time.Second

// ErrBusy is what Publish returns when a loop has not caught up in time.
var ErrBusy = errors.New("an event loop is too far behind, the event was not published: publish again later")

// Options of a Broker. Zero fields mean the defaults, but for History.
type Options struct {
	// History is how many messages a channel keeps when nobody listens. With
	// 0 it keeps none, and events carry no id.
	History int
	// MaxKept bounds the kept messages of all channels, in bytes; the oldest
	// go first, whatever History says.
	MaxKept int
	// MaxEventBytes bounds Data and Type of one event.
	MaxEventBytes int
	// PublishTimeout bounds how long Publish waits for a loop that is behind.
	PublishTimeout time.Duration
	// Epoch names this run of the broker in event ids; drawn at random when
	// empty.
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
	// oldest and newest are the ends of the list of all kept messages by age,
	// and kept is their size in bytes.
	oldest, newest *Message
	kept           int
	// served is closed and replaced when a loop reports progress while
	// publishers wait for it; nil when none wait.
	served chan struct{}
}

// Channel is a name with its subscribers and its newest messages. It lives in
// the broker while it has either; a loop may hold it for as long as it is
// attached. Everything but the name is guarded by Broker.mu.
type Channel struct {
	name string
	// loops says which inboxes want the channel's messages, and for how many
	// subscribers. Few entries: at most one a loop.
	loops []attachment
	// subscribers is the sum over loops.
	subscribers int
	log         log
	// evicted is the sequence of the newest message that left the log.
	evicted uint64
}

type attachment struct {
	inbox       *Inbox
	subscribers int
}

// Name returns the channel's name. Safe for concurrent use.
func (c *Channel) Name() string { return c.name }

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
		if b.served == nil {
			b.served = make(chan struct{})
		}
		served := b.served
		if timeout == nil {
			timer := time.NewTimer(b.opts.PublishTimeout)
			defer timer.Stop()
			timeout = timer.C
		}
		b.mu.Unlock()
		select {
		case <-served:
			b.mu.Lock()
		case <-timeout:
			b.mu.Lock()
			return nil, ErrBusy
		}
	}
}

func (c *Channel) crowded() bool {
	for i := range c.loops {
		if c.loops[i].inbox.unserved >= maxUnserved {
			return true
		}
	}
	return false
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
	if b.served != nil {
		close(b.served)
		b.served = nil
	}
	b.mu.Unlock()
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
		c.subscribers++
		if i := c.find(in); i >= 0 {
			c.loops[i].subscribers++
		} else {
			c.loops = append(c.loops, attachment{in, 1})
		}
		dst = append(dst, c)
	}
	return dst, b.seq
}

// Detach takes back one subscriber of each of chans on the loop that owns in.
func (b *Broker) Detach(in *Inbox, chans ...*Channel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range chans {
		c.subscribers--
		i := c.find(in)
		if c.loops[i].subscribers--; c.loops[i].subscribers == 0 {
			c.loops = slices.Delete(c.loops, i, i+1)
		}
		b.trim(c)
	}
}

func (c *Channel) find(in *Inbox) int {
	return slices.IndexFunc(c.loops, func(a attachment) bool { return a.inbox == in })
}

// Since appends to dst what was published on chans after cursor, in order: at
// least one message if there is any, and no more once their wire forms pass
// maxBytes. It returns false, and nothing, when some of it is no longer kept.
// chans must be attached by the caller.
func (b *Broker) Since(dst []*Message, cursor uint64, maxBytes int, chans ...*Channel) ([]*Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range chans {
		if c.evicted > cursor {
			return dst, false
		}
	}
	for size := 0; size < maxBytes; {
		var next *Message
		for _, c := range chans {
			if i := c.log.after(cursor); i < c.log.n && (next == nil || c.log.at(i).Seq < next.Seq) {
				next = c.log.at(i)
			}
		}
		if next == nil {
			break
		}
		dst = append(dst, next)
		size += len(next.Wire)
		cursor = next.Seq
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
	c := &Channel{name: name}
	b.channels[name] = c
	return c
}

// keep puts m, the newest message, into its channel's log and evicts what the
// bounds no longer allow. Called with mu held.
func (b *Broker) keep(m *Message) {
	m.Channel.log.push(m)
	m.older = b.newest
	if m.older != nil {
		m.older.newer = m
	} else {
		b.oldest = m
	}
	b.newest = m
	b.kept += m.size()
	b.trim(m.Channel)
	for b.kept > b.opts.MaxKept {
		oldest := b.oldest.Channel
		b.evict(oldest)
		b.trim(oldest)
	}
}

// trim evicts what c need not keep, and forgets c when nothing is left of it.
// Called with mu held.
func (b *Broker) trim(c *Channel) {
	for c.log.n > b.opts.History && (c.subscribers == 0 || c.log.size > backlogBytes) {
		b.evict(c)
	}
	if c.subscribers == 0 && c.log.n == 0 {
		delete(b.channels, c.name)
	}
}

// evict drops the oldest message of c. Called with mu held.
func (b *Broker) evict(c *Channel) {
	m := c.log.pop()
	c.evicted = m.Seq
	b.kept -= m.size()
	if m.older != nil {
		m.older.newer = m.newer
	} else {
		b.oldest = m.newer
	}
	if m.newer != nil {
		m.newer.older = m.older
	} else {
		b.newest = m.older
	}
	m.older, m.newer = nil, nil
}
