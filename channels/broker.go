package channels

import (
	"crypto/rand"
	"sync/atomic"
	"time"
)

// DefaultPublishTimeout bounds how long a publisher waits for a loop.
const DefaultPublishTimeout = 5 * time.Second

// Options of a Broker. Zero fields mean the defaults, but for History; none may
// be negative.
type Options struct {
	// History is how many messages a channel keeps without streams. With 0 it keeps
	// none, and events carry no id.
	History int
	// MaxKept bounds the kept messages of all channels, in bytes, with the
	// channels that are there only for them; the oldest go first, even if History
	// would keep them.
	MaxKept int
	// HistoryTTL is how long a message is kept at most; 0 for no such limit.
	HistoryTTL time.Duration
	// MaxEventBytes bounds Data and Type of one event, and also its form in a
	// stream: decoded, with the longest id and the blank line.
	MaxEventBytes int
	// PublishTimeout bounds how long Publish waits for a loop that is behind.
	PublishTimeout time.Duration
	// Epoch names this run of the broker in event ids, in letters and digits;
	// drawn at random when empty.
	Epoch string
	// Payload, if set, returns the kind of payloads of a channel; else all are Text. It
	// must not wait, and is safe for concurrent use.
	Payload func(channel string) Payload
	// Decode, if set, makes the data of streams of a channel's payloads; observers hear
	// these as they are. Publish refuses a payload that Decode refuses. It must not
	// wait, and is safe for concurrent use.
	Decode func(channel string, data []byte) ([]byte, error)
	// Undecoded, if set, is told of events of a backplane that Decode has refused.
	// Streams get these as they are. It must not wait.
	Undecoded func(channel string, err error)
	// Backplane links this broker with those of other nodes; nil for a node on
	// its own.
	Backplane Backplane
	// Numbered tells that the backplane's engine keeps the history, numbers the
	// messages and names the epoch: see Feed.SetEpoch. History is above 0 then.
	Numbered bool
	// Successor has the broker be that of a successor process: Relay fills and leads it,
	// until TakeOver. Epoch is the predecessor's then.
	Successor bool
}

// Broker owns the channels and the order of their messages. All of its methods are safe
// for concurrent use. It needs no Close: a timer does the work that becomes due by itself.
type Broker struct {
	opts       Options
	idSize     int // length of the longest id line; 0 when events carry none
	backlog    int // the least that a channel with streams keeps, in bytes
	tailSize   int // the most that may follow the fields of an event, where events carry ids
	clock      func() time.Duration
	publishing publishing
	streamed   atomic.Int64  // channels that streams are on
	texted     atomic.Int64  // channels that gzip streams are on
	undecoded  atomic.Uint64 // events of the backplane that Decode has refused
	frozen     atomic.Bool   // nobody publishes here: see Freeze. Storing is guarded by mu

	mu        lock
	epoch     string       // "" until a numbering engine has told it
	seq       uint64       // of the newest message or gap, or one up to which there is none to come
	shared    uint64       // when equal to seq, and not 0: a gap's place, to which nobody has been brought
	newest    uint64       // Numbered: the newest place that the engine has told, seq or below
	ahead     uint64       // Numbered: the highest cursor above seq that a subscriber has begun with
	placed    uint64       // messages
	tap       *Tap         // nil unless streams move to a successor
	stopped   bool         // no arrival has room: see setStoppedLocked
	heldAbove uint64       // kept messages above are not dropped: none, unless streams move
	gaps      [Gaps]uint64 // by reason
	channels  map[string]*Channel
	texts     map[*Channel]*text // of channels that gzip streams are on
	fresh     uint64             // dictionaries that were begun before a text was full
	ordered   index              // of channels
	globs     globs
	hearings  hearings
	shrink    shrink
	alarm     alarm
	kept      retention
	excess    excess // of channels
	forgotten forgotten
	line      line
	refused   int        // channels that are
	successor *successor // nil unless this is a successor's broker that has yet to take over
	unsettled unsettled
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
		opts: opts, epoch: opts.Epoch, channels: make(map[string]*Channel), forgotten: forgotten{key: newForgottenKey()},
		clock:     func() time.Duration { return time.Since(began) },
		heldAbove: noneHeld,
	}
	b.measureIDs()
	if opts.Successor {
		b.successor, b.heldAbove = newSuccessor(), 0 // loops attach below what has come
		b.stopped = true
		b.frozen.Store(true)
	}
	b.backlog = max(backlogBytes, backlogEvents*(opts.MaxEventBytes+messageOverhead))
	return b
}

// measureIDs sets what depends on the epoch's length.
func (b *Broker) measureIDs() {
	idSize := len("id: -\n") + max(len(b.opts.Epoch), epochSize) + maxDecimal
	if b.opts.History > 0 {
		b.idSize = idSize
	}
	b.tailSize = idSize + len("\n") // an event that one node takes, all take
}

// epochSize is the length of an epoch that is drawn.
const epochSize = 10

// NewEpoch draws an epoch: with 50 bits, no two are the same.
func NewEpoch() string { return rand.Text()[:epochSize] }
