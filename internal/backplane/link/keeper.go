package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"millrace/channels"
)

const (
	// snapshotSize is how many channels one snapshot is of.
	snapshotSize = 16
	// maxMissed bounds the missed messages that are held in memory while a node recovers,
	// in bytes. Channels whose messages have no room are told of a gap.
	maxMissed = 64 << 20
)

var (
	errEpoch   = errors.New("the engine's history is another one")
	errSkipped = errors.New("the engine has left out a message")
	errBack    = errors.New("the engine's numbers are below those of messages that have been delivered: it has lost these, or its clock was set back")
)

// History is a session with an engine that keeps history, as a Keeper sees it. Its
// methods are called by the session's one goroutine.
type History interface {
	// Snapshot returns the messages of channels after the number since. The engine
	// has told that place in the order, or is about to, for Keeper.Fence: messages
	// that it tells live before the fence are in the snapshot, those after it are
	// not. An error that wraps ErrRefused concerns one or more of the channels alone.
	Snapshot(ctx context.Context, since uint64, names []string) (Snapshot, error)
	// Subscribe asks for the live messages of channels.
	Subscribe(ctx context.Context, names []string) error
	// Listen takes in one thing that the engine tells, such as a message.
	Listen(context.Context) error
}

// Snapshot is the history of channels at a place in the order of all messages.
type Snapshot struct {
	Epoch    string
	Seq      uint64 // the place, which no message has
	Channels []string
	Logs     []Log // of each
}

// Log has the messages of one channel that the engine keeps.
type Log struct {
	Kept    []channels.Kept // oldest first
	Evicted uint64          // up to which something may be missing
}

// Message is one that an engine tells live.
type Message struct {
	Epoch   string
	Channel string
	Before  uint64 // the number of the message before on the channel; 0 for unknown
	channels.Kept
	lost bool // not a message: some of the channel are missing up to that number
}

// Keeper delivers the messages of an engine that keeps history, in the order of its
// numbers, and makes up for those that were missed between two sessions. Each session
// has its own; its methods are for the session's goroutine.
type Keeper struct {
	*Link
	engine     History
	epoch      string
	live       map[string]uint64 // channels whose messages are delivered as they come: the newest number of each
	confirmed  []string          // subscribed to, but not yet live
	coming     []Snapshot        // whose fence is to come
	lastSeen   uint64            // recovering: messages with a higher number have been missed
	recovering bool              // since Recover, until everything missed is delivered: messages go to missed
	missed     []Message         // recovering: to be delivered in one order
	size       int               // of missed, in bytes
	lost       map[string]uint64 // recovering: channels of which something is missing, up to which number
	restarted  bool              // recovering: the history is another, and that something is missing is told
	awaited    int               // recovering: channels that were asked for and are neither live nor refused
	parts      [][]string        // recovering: halves of refused batches, to be asked for again
	first      uint64            // recovering: a number that the engine had reached when the session began
	pruned     int               // of a successor that holds: size after what was delivered already had gone
	patience   patience
}

// NewKeeper returns the keeper of a session, which is to call Recover first.
func NewKeeper(l *Link, engine History) *Keeper {
	k := &Keeper{Link: l, engine: engine, live: make(map[string]uint64)}
	l.held.finish = k.takeOver
	return k
}

// Subscribed tells that the messages of channels come live.
func (k *Keeper) Subscribed(names ...string) { k.confirmed = append(k.confirmed, names...) }

// Unsubscribed tells that a channel was given up.
func (k *Keeper) Unsubscribed(channel string) { delete(k.live, channel) }

// Refused tells why a batch that was asked for is refused, as a whole.
func (k *Keeper) Refused(why error, batch ...string) {
	if k.recovering && !k.held.on.Load() {
		k.awaited -= len(batch)
		if half := len(batch) / 2; half > 0 {
			k.parts = append(k.parts, batch[:half], batch[half:])
			return
		}
	}
	k.Refuse(why, batch...)
}

// Settled tells that everything that had been asked for is subscribed to. It asks
// for snapshots.
func (k *Keeper) Settled(ctx context.Context) error {
	names := k.confirmed
	k.confirmed = nil
	for part := range slices.Chunk(names, snapshotSize) {
		s, err := k.engine.Snapshot(ctx, k.lastSeen, part)
		if errors.Is(err, ErrRefused) {
			k.Refused(err, part...)
			continue
		}
		if err != nil {
			return err
		}
		if s.Epoch != k.epoch {
			return errEpoch
		}
		if err := s.check(); err != nil {
			return err
		}
		k.coming = append(k.coming, s)
	}
	return nil
}

// Fence takes in the place of a snapshot.
func (k *Keeper) Fence(seq uint64) {
	if len(k.coming) == 0 || k.coming[0].Seq != seq {
		return // nobody has asked for it
	}
	s := k.coming[0]
	k.coming = k.coming[1:]
	if k.halt(""); k.recovering {
		k.collect(s)
	} else {
		k.fill(s)
	}
}

// Message takes in a message, or the error that it could not be read for.
func (k *Keeper) Message(m Message, err error) error {
	newest, ok := k.live[m.Channel]
	switch {
	case !ok:
		return nil // it is in the snapshot to come
	case err != nil:
		if k.halt(""); k.holds("") {
			k.lose(m.Channel, max(m.Number, newest+2))
		} else {
			k.interrupt(m.Channel, err)
		}
		return nil
	case m.Epoch != k.epoch:
		return errEpoch
	case m.Number%2 != 0 || m.Number > maxNumber:
		return fmt.Errorf("%w: the number %d", errNonsense, m.Number)
	case m.Before > newest:
		return errSkipped
	case m.Number <= newest:
		return errBack
	}
	k.live[m.Channel] = m.Number
	fence := fenceOf(m.Channel, m.Event.Data)
	k.halt(fence)
	switch holds := k.holds(fence); {
	case fence != "":
	case holds || k.recovering:
		k.miss(m)
	default:
		k.handOn(m)
	}
	return nil
}

// fill hands on a snapshot at its place in the order.
func (k *Keeper) fill(s Snapshot) {
	k.Feed.Advance(s.Seq)
	for i, channel := range s.Channels {
		if !k.Feed.Fill(channel, s.Logs[i].Evicted, s.Logs[i].Kept) {
			k.Set.Again(channel) // or a stream that comes just now would begin without it
			continue
		}
		k.live[channel] = s.Seq
		k.Feed.Followed(0, func(name string) bool { return k.Set.Confirm(name, 0) }, channel)
	}
}

// handOn delivers a message. Nothing may overtake it, so everything after it stands
// still while a loop has no room for it: for a moment, and then it is given up.
func (k *Keeper) handOn(m Message) {
	arrival, err := k.Feed.Prepare(m.Channel, m.Event, m.Number)
	if err == nil {
		offer := func() bool {
			_, err = k.Feed.Offer(arrival)
			return !errors.Is(err, channels.ErrBusy)
		}
		if !offer() {
			k.patience.wait(offer)
		}
	}
	if err != nil {
		k.interrupt(m.Channel, err)
	}
}

// Recover makes up for messages that were missed since the last session, on the channels
// whose subscribers count on having all. The messages of all these channels are delivered
// in one order.
func (k *Keeper) Recover(ctx context.Context) error {
	head := k.Feed.Head() // before the engine tells where it is: in a successor, the predecessor raises it
	first, err := k.engine.Snapshot(ctx, 0, nil)
	if err != nil {
		return err
	}
	if err := first.check(); err != nil {
		return err
	}
	if first.Seq < head { // messages with such numbers would not be delivered
		return errBack
	}
	k.epoch, k.first = first.Epoch, first.Seq
	k.lastSeen, k.recovering, k.lost = head, true, make(map[string]uint64)
	if k.holds("") {
		return nil // until takeOver
	}
	k.restarted = k.Feed.SetEpoch(k.epoch, k.first)
	held := k.Set.Held()
	k.lastSeen = k.Feed.Head()
	for k.parts = slices.Collect(slices.Chunk(held, batch)); len(k.parts) > 0; {
		part := k.parts[0]
		k.parts, k.awaited = k.parts[1:], len(part)
		if err := k.engine.Subscribe(ctx, part); err != nil {
			return err
		}
		for k.awaited > 0 {
			if err := k.engine.Listen(ctx); err != nil {
				return err
			}
		}
	}
	for _, channel := range held {
		_, live := k.live[channel]
		switch {
		case !live: // it is refused
		case !k.Set.Regain(channel):
			delete(k.live, channel) // it will be filled
		case k.lost[channel] > 0:
			k.missed = append(k.missed, lostUpTo(channel, k.lost[channel]))
		}
	}
	k.makeUp()
	return nil
}

// lostUpTo is the message that stands for those of a channel that are missing.
func lostUpTo(channel string, number uint64) Message {
	return Message{Channel: channel, Kept: channels.Kept{Number: number}, lost: true}
}

// makeUp delivers what was missed, and ends the recovery.
func (k *Keeper) makeUp() {
	slices.SortFunc(k.missed, func(a, b Message) int { return cmp.Compare(a.Number, b.Number) })
	k.patience = patience{left: recovery, last: time.Now()} // all comes at once: loops need their time for it
	for _, m := range k.missed {
		switch _, ok := k.live[m.Channel]; {
		case !ok:
		case m.lost:
			k.Feed.Advance(m.Number)
			k.Feed.Interrupted(m.Channel)
		default:
			k.handOn(m)
		}
	}
	k.Feed.Advance(k.first)
	k.lastSeen, k.recovering, k.missed, k.size, k.lost, k.patience = 0, false, nil, 0, nil, patience{}
}

// collect takes in a snapshot of channels that were held.
func (k *Keeper) collect(s Snapshot) {
	k.awaited -= len(s.Channels)
	holds := k.holds("")
	for i, channel := range s.Channels {
		if holds && !k.Set.Confirm(channel, 0) {
			continue
		}
		k.live[channel] = s.Seq
		if s.Logs[i].Evicted > k.lastSeen && !k.restarted {
			k.lose(channel, s.Logs[i].Evicted)
		}
		for _, m := range s.Logs[i].Kept {
			k.miss(Message{Channel: channel, Kept: m})
		}
	}
}

// miss notes a message that is to be delivered when all have been collected.
func (k *Keeper) miss(m Message) {
	k.prune()
	if k.size > maxMissed {
		k.lose(m.Channel, m.Number)
		return
	}
	k.size += len(m.Event.Data)
	k.missed = append(k.missed, m)
}

// lose notes that something is missing on a channel, up to a number.
func (k *Keeper) lose(channel string, number uint64) {
	k.lost[channel] = max(k.lost[channel], number)
}
