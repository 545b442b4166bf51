package channels

import (
	"cmp"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"
)

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
	// HistoryTTL is how long a message is kept at most; 0 for no such limit.
	HistoryTTL time.Duration
	// MaxEventBytes bounds Data and Type of one event, and also what becomes of it
	// in a stream: decoded, with the longest id and the blank line.
	MaxEventBytes int
	// PublishTimeout bounds how long Publish waits for a loop that is behind.
	PublishTimeout time.Duration
	// Epoch names this run of the broker in event ids, in letters and digits;
	// drawn at random when empty.
	Epoch string
	// Payload, if set, says what is published on a channel; else all is Text. It must
	// not wait, and is safe for concurrent use.
	Payload func(channel string) Payload
	// Decode, if set, makes the data of streams of what is published on a channel;
	// listeners hear that as it is. What it refuses, Publish refuses. It must not
	// wait, and is safe for concurrent use.
	Decode func(channel string, data []byte) ([]byte, error)
	// Undecoded, if set, is told what Decode has refused of a backplane's events.
	// Streams get these as they are. It must not wait.
	Undecoded func(channel string, err error)
	// Backplane links this broker with those of other nodes; nil for a node on
	// its own.
	Backplane Backplane
	// Numbered tells that the backplane's engine keeps the history, numbers the
	// messages and names the epoch: see Broker.SetEpoch. History is above 0 then.
	Numbered bool
}

// Broker owns the channels and the order of their messages. All of its methods
// are safe for concurrent use.
type Broker struct {
	opts       Options
	idSize     int // length of the longest id line; 0 when events carry none
	backlog    int // what a channel with streams keeps at least, in bytes
	tailSize   int // of what follows the fields of an event, at most, where events carry ids
	backplane  Backplane
	clock      func() time.Duration
	publishing publishing
	streamed   atomic.Int64  // channels that streams are on
	undecoded  atomic.Uint64 // events of the backplane that Decode has refused

	mu        lock
	epoch     string       // "" until a numbering engine has told it
	seq       uint64       // of the newest message or gap, or one up to which there is none to come
	shared    uint64       // when equal to seq, and not 0: a gap's place, to which nobody has been brought
	newest    uint64       // Numbered: the newest place that the engine has told, seq or below
	ahead     uint64       // Numbered: the highest cursor above seq that a subscriber has begun with
	placed    uint64       // messages
	gaps      [Gaps]uint64 // by reason
	channels  map[string]*Channel
	ordered   index // of channels
	patterns  patterns
	hearings  hearings
	shrink    shrink
	alarm     alarm
	kept      retention
	excess    excess // of channels
	forgotten forgotten
	line      line
	refused   int // channels that are
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
	if opts.Epoch == "" && !opts.Numbered {
		opts.Epoch = NewEpoch()
	}
	began := time.Now()
	b := &Broker{
		opts: opts, epoch: opts.Epoch, channels: make(map[string]*Channel), backplane: opts.Backplane, forgotten: forgotten{key: newForgottenKey()},
		clock: func() time.Duration { return time.Since(began) },
	}
	if b.backplane == nil {
		b.backplane = alone{b}
	}
	idSize := len("id: -\n") + max(len(opts.Epoch), epochSize) + maxDecimal
	if opts.History > 0 {
		b.idSize = idSize
	}
	b.tailSize = idSize + len("\n") // what one node takes, all take
	b.backlog = max(backlogBytes, backlogEvents*(opts.MaxEventBytes+messageOverhead))
	return b
}

// epochSize is the length of an epoch that is drawn.
const epochSize = 10

// NewEpoch draws an epoch: with 50 bits, no two are the same.
func NewEpoch() string { return rand.Text()[:epochSize] }

// Receipt says what has become of an event that was published.
type Receipt struct {
	// Receivers is how many subscribers this node had for it.
	Receivers int
	// Seq is the event's place in the order, or its number, for ID; zero where that is
	// not known.
	Seq uint64
	// Epoch is that of Seq where an engine numbers, "" else.
	Epoch string
}

// ID returns the event id of a message that was published, "" if it has none.
// Safe for concurrent use.
func (b *Broker) ID(r Receipt) string {
	if b.opts.History == 0 || r.Seq == 0 {
		return ""
	}
	return string(appendID(nil, cmp.Or(r.Epoch, b.opts.Epoch), r.Seq))
}

// Publish hands ev to the backplane, and so to every subscriber of the channel
// on every node. ev.Data is not kept. When a loop is so far behind that memory
// would grow, Publish waits, at most Options.PublishTimeout, and then returns
// ErrBusy; other errors wrap ErrName, ErrEventTooLarge, ErrEventData,
// ErrEventType or ErrEventRetry, or are the backplane's or Options.Decode's.
func (b *Broker) Publish(channel string, ev Event) (Receipt, error) {
	if err := b.accepts(channel, ev); err != nil {
		return Receipt{}, err
	}
	return b.publish(channel, ev)
}

// accepts returns why Publish refuses ev before it is handed to the backplane.
func (b *Broker) accepts(channel string, ev Event) error {
	if channel == ControlChannel {
		return errControl
	}
	undecoded, err := b.check(channel, ev, b.payload(channel))
	if err != nil {
		return err
	}
	return undecoded
}

// Check returns why ev cannot be delivered, whoever wants it. Unlike Publish it
// takes what Options.Decode refuses.
func (b *Broker) Check(channel string, ev Event) error {
	_, err := b.check(channel, ev, b.payload(channel))
	return err
}

// check is Check for a channel of such payloads, and tells why Options.Decode
// refuses ev.
func (b *Broker) check(channel string, ev Event, payload Payload) (undecoded, err error) {
	if err := CheckName([]byte(channel)); err != nil {
		return nil, err
	}
	if err := ev.check(b.opts.MaxEventBytes, b.tailSize, payload == Text); err != nil || payload == Unstreamed {
		return nil, err
	}
	sent := ev
	if b.opts.Decode != nil {
		var data []byte
		if data, undecoded = b.opts.Decode(channel, ev.Data); undecoded == nil {
			sent.Data = data
		}
	}
	return undecoded, ev.checkSent(sent, b.opts.MaxEventBytes, b.tailSize)
}

// Deliver gives ev, which must pass Check, the next place in the order of all
// messages of this node, and hands it to every loop with subscribers of the
// channel and to its listeners. It returns how many there are at that place in the
// order. It waits as Publish does, and returns ErrBusy or nil.
func (b *Broker) Deliver(channel string, ev Event) (Receipt, error) {
	return b.deliver(b.delivery(channel, ev, 0), forLoops)
}

// Offer is Deliver for who must not wait, as what reads from an engine for all
// channels: where Deliver would wait, it returns ErrBusy at once. number is the one
// that the engine has given ev, as for DeliverAt, or 0.
func (b *Broker) Offer(channel string, ev Event, number uint64) (Receipt, error) {
	if number != 0 {
		if err := checkNumber(number); err != nil {
			return Receipt{}, err
		}
	}
	return b.deliver(b.delivery(channel, ev, b.sequence(number)), forNothing)
}

// delivery returns ev as it can be placed. All but the id is encoded here, before
// the lock is taken; the id comes last.
func (b *Broker) delivery(channel string, ev Event, seq uint64) delivery {
	if b.payload(channel) == Unstreamed {
		return delivery{channel: channel, data: ev.Data, seq: seq, matches: b.patterns.match(channel)}
	}
	return delivery{channel: channel, data: ev.Data, wire: b.fields(channel, ev), seq: seq, matches: b.patterns.match(channel)}
}

// place gives d its place in the order. Called with mu held.
func (b *Broker) place(d *delivery) Receipt {
	seq := d.seq
	switch {
	case seq == 0:
		seq = b.seq + 1
	case seq <= b.newest:
		return Receipt{}
	case seq <= b.seq: // gaps have taken its place, see countBits
		b.newest = seq
		b.lose(d.channel, GapBackplane)
		return Receipt{}
	}
	b.seq, b.newest = seq, seq
	b.placed++
	c := b.channels[d.channel]
	heard := b.tell(c, d)
	if d.wire == nil {
		if c != nil {
			heard += int(c.subscribers)
		}
		return Receipt{Receivers: heard}
	}
	if c == nil {
		if b.opts.History == 0 {
			b.forgotten.add(d.channel, b.seq)
			return Receipt{Receivers: heard}
		}
		c = b.open(d.channel)
	}
	b.post(c, d.wire)
	r := Receipt{Receivers: int(c.subscribers) + heard, Seq: b.number(seq)}
	if b.opts.Numbered {
		r.Epoch = b.epoch
	}
	return r
}

// fields returns the wire form of ev, decoded, with room for the id and the blank
// line, which it lacks.
func (b *Broker) fields(channel string, ev Event) []byte {
	ev.Data = b.decode(channel, ev.Data)
	return ev.appendFields(make([]byte, 0, ev.fieldsSize()+b.idSize+len("\n")))
}

// decode returns what streams get of data that was published, on whatever node.
func (b *Broker) decode(channel string, data []byte) []byte {
	if b.opts.Decode == nil {
		return data
	}
	decoded, err := b.opts.Decode(channel, data)
	if err != nil {
		b.undecoded.Add(1)
		if b.opts.Undecoded != nil {
			b.opts.Undecoded(channel, err)
		}
		return data
	}
	return decoded
}

// post makes a message with the sequence b.seq of wire, which lacks the id and
// the blank line, and hands it to the loops that listen to c. Called with mu held.
func (b *Broker) post(c *Channel, wire []byte) {
	c.published++
	if len(c.loops) == 0 && b.opts.History == 0 { // it is for listeners alone, and heard
		c.evicted = b.seq
		return
	}
	m := b.message(c, wire, b.seq, 0)
	b.keep(m)
	m.Evicted = c.evicted
	for i := range c.loops {
		a := &c.loops[i]
		a.unserved += int32(m.size())
		a.inbox.unserved += m.size()
		if a.inbox.post(m) {
			b.mu.wakeLater(a.inbox)
		}
	}
}

// message makes a message of wire, which lacks the id and the blank line, and which
// was published some time ago. Called with mu held.
func (b *Broker) message(c *Channel, wire []byte, seq uint64, ago time.Duration) *Message {
	if b.opts.History > 0 {
		wire = appendIDLine(wire, b.epoch, b.number(seq))
	}
	m := &Message{Seq: seq, Channel: c, Wire: append(wire, '\n')}
	if b.opts.HistoryTTL > 0 {
		m.born = b.clock() - ago
	}
	return m
}

// Served tells that the owner of in has done with msgs, which it took from the
// inbox, and lets waiting publishers go on.
func (b *Broker) Served(in *Inbox, msgs []*Message) {
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
	b.admit()
}

// HasRoom tells whether streams would be on limit channels at most if one more were on
// names. Loops that ask at the same time may each be told so of the last place.
func (b *Broker) HasRoom(limit int, names ...[]byte) bool {
	left := limit - int(b.streamed.Load())
	if len(names) <= left {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if c := b.channels[string(name)]; c == nil || len(c.loops) == 0 {
			left--
		}
	}
	return left >= 0
}

// Attach counts one subscriber of each of names on the loop that owns in, and
// returns the channels, appended to dst, with the cursor from which the
// subscriber has everything that is delivered: what comes later reaches the
// inbox, what came before does not concern it. The names must pass CheckName and
// differ from each other.
func (b *Broker) Attach(in *Inbox, dst []*Channel, names ...[]byte) ([]*Channel, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		dst = append(dst, b.attach(in, name))
	}
	b.shared = 0
	return dst, b.seq
}

// attach counts one subscriber of a channel. Called with mu held.
func (b *Broker) attach(in *Inbox, name []byte) *Channel {
	c := b.channels[string(name)]
	if c == nil {
		c = b.open(string(name))
	}
	if len(c.loops) == 0 {
		b.streamed.Add(1)
	}
	c.attach(in)
	b.joined(c)
	return c
}

// joined is called with mu held when c has one subscriber more.
func (b *Broker) joined(c *Channel) {
	b.settle(c)
	if c.subscribers == 1 {
		since, ready := b.backplane.Follow(c.name)
		c.ready = ready
		c.lack(b.sequence(since))
	}
}

// Detach takes back one subscriber of each of chans on the loop that owns in,
// which must be attached to them.
func (b *Broker) Detach(in *Inbox, chans ...*Channel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range chans {
		if c.detach(in); len(c.loops) == 0 {
			b.streamed.Add(-1)
		}
		b.left(c)
	}
	b.tidy()
	b.admit() // nobody need wait for a loop that has left
}

// left is called with mu held when c has one subscriber less.
func (b *Broker) left(c *Channel) {
	if c.subscribers == 0 {
		b.backplane.Unfollow(c.name)
		b.permit(c)
	}
	b.settle(c)
}

// Since appends to dst what was published on chans after cursor, in order, with the gaps
// that told has not: at least one message if there is any, and no more once their wire
// forms reach maxBytes, which is at least 1. It returns false, and nothing, when some of
// it may no longer be kept, beside what told has. chans must be attached by the caller.
func (b *Broker) Since(dst []*Message, cursor uint64, told Told, maxBytes int, chans ...*Channel) ([]*Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since(dst, cursor, told, maxBytes, chans)
}

// since is Since with mu held.
func (b *Broker) since(dst []*Message, cursor uint64, told Told, maxBytes int, chans []*Channel) ([]*Message, bool) {
	var onStack [64]head
	heads := heads(onStack[:0])
	begin := len(dst)
	for i, c := range chans {
		if c.evicted > max(cursor, told.Floor(i)) {
			return dst, false
		}
		if at := c.log.after(cursor); at < c.log.count() {
			heads = append(heads, head{c.log.at(at).Seq, int32(i), int32(at)})
		}
	}
	heads.order()
	for size := 0; size < maxBytes && len(heads) > 0; {
		h := heads[0]
		log := chans[h.run].log
		m := log.at(int(h.at))
		dst = append(dst, m)
		size += len(m.Wire)
		if h.at++; h.at < log.n {
			heads.replace(head{log.at(int(h.at)).Seq, h.run, h.at})
		} else {
			heads = heads.drop()
		}
	}
	cut := len(heads) > 0
	return b.addGaps(dst, begin, max(cursor, told.Gaps), cut, chans), true
}

// Subscribers returns how many subscribers the channel has on this node,
// listeners included.
func (b *Broker) Subscribers(channel string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[channel]; c != nil {
		return int(c.subscribers)
	}
	return 0
}

// open adds the channel. Called with mu held.
func (b *Broker) open(name string) *Channel {
	c := &Channel{name: name, evicted: b.forgotten.of(name)}
	b.channels[name] = c
	b.ordered.add(c)
	b.noteOpened(c)
	return c
}
