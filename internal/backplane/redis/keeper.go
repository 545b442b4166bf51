package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
)

const (
	// fillBatch is how many channels one snapshot is of.
	fillBatch = 16
	// maxMissed bounds what is held in memory while a node makes up for what it has
	// missed, in bytes. Channels whose messages have no room are told of a gap.
	maxMissed = 64 << 20
)

var errEpoch = errors.New("the history of Redis is another one")

// keeper listens in the form with history. It delivers the messages of all channels
// in the order of their numbers.
type keeper struct {
	*Backplane
	sub       *redis.PubSub
	epoch     string
	live      map[string]bool // channels whose messages are delivered as they come
	confirmed []string        // subscribed to, but not yet live
	coming    []snapshot      // whose fence is to come
	since     uint64          // recovering: what has a higher number has been missed
	behind    bool            // recovering: what comes goes to missed
	missed    []entry         // recovering: to be delivered in one order
	size      int             // of missed, in bytes
	lost      map[string]bool // recovering: channels of which something is missing
}

func newKeeper(b *Backplane, sub *redis.PubSub) *keeper {
	return &keeper{Backplane: b, sub: sub, live: make(map[string]bool)}
}

func (k *keeper) subscribed(channel string)   { k.confirmed = append(k.confirmed, channel) }
func (k *keeper) unsubscribed(channel string) { delete(k.live, channel) }

// settled asks for snapshots of the channels that are subscribed to.
func (k *keeper) settled(ctx context.Context) error {
	names := k.confirmed
	k.confirmed = nil
	for part := range slices.Chunk(names, fillBatch) {
		if err := k.request(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// request asks for a snapshot.
func (k *keeper) request(ctx context.Context, names []string) error {
	s, err := k.history.snapshot(unsealed(ctx), k.client, k.since, names)
	if err != nil {
		return err
	}
	if s.epoch != k.epoch {
		return errEpoch
	}
	k.coming = append(k.coming, s)
	return nil
}

// message takes in a message, or the fence of a snapshot.
func (k *keeper) message(name, payload string) error {
	if name == k.history.fence {
		if len(k.coming) == 0 {
			return nil // of begin
		}
		s := k.coming[0]
		k.coming = k.coming[1:]
		if k.behind {
			k.collect(s)
		} else {
			k.fill(s)
		}
		return nil
	}
	channel := name[len(k.prefix):]
	if !k.live[channel] {
		return nil // it is in the snapshot to come
	}
	epoch, seq, payload, err := parseAnnouncement(payload)
	switch {
	case err != nil:
		k.Lose(channel, err)
	case epoch != k.epoch:
		return errEpoch
	case k.behind:
		k.miss(entry{channel: channel, seq: seq, payload: payload})
	default:
		k.deliver(entry{channel: channel, seq: seq, payload: payload})
	}
	return nil
}

// fill hands on a snapshot at its place in the order.
func (k *keeper) fill(s snapshot) {
	k.Broker.Advance(s.seq)
	for i, channel := range s.channels {
		log := s.logs[i]
		var list []channels.Kept
		for _, e := range log.entries {
			ev, err := k.event(e)
			if err != nil {
				log.evicted = e.seq
				continue
			}
			list = append(list, channels.Kept{Seq: e.seq, Event: ev, Age: e.age})
		}
		if !k.Broker.Fill(channel, log.evicted, list) {
			k.Set.Again(channel) // or who comes just now would begin without it
			continue
		}
		k.live[channel] = true
		if k.Set.Confirm(channel, 0) {
			k.Broker.Followed(0, channel)
		}
	}
}

func (k *keeper) event(e entry) (channels.Event, error) {
	ev, err := envelope.Parse([]byte(e.payload))
	if err == nil {
		err = k.Broker.Check(e.channel, ev)
	}
	return ev, err
}

func (k *keeper) deliver(e entry) {
	ev, err := k.event(e)
	if err == nil {
		_, err = k.Broker.DeliverAt(e.channel, ev, e.seq)
	}
	if err != nil {
		k.Lose(e.channel, err)
	}
}

// begin makes up for what was missed since the last session, on the channels whose
// subscribers take it that nothing is missing. What has come of all of them is
// delivered in one order.
func (k *keeper) begin(ctx context.Context) error {
	first, err := k.history.snapshot(unsealed(ctx), k.client, 0, nil)
	if err != nil {
		return err
	}
	k.epoch = first.epoch
	k.Broker.SetEpoch(k.epoch)
	held := k.Set.Held()
	k.since, k.behind, k.lost = k.Broker.Head(), true, make(map[string]bool)
	for part := range slices.Chunk(held, batch) {
		if err := k.subscribe(ctx, k.sub, part); err != nil {
			return err
		}
		for all := len(k.live) + len(part); len(k.live) < all; {
			if err := k.listen(ctx, k.sub, k); err != nil {
				return err
			}
		}
	}
	for _, channel := range held {
		switch {
		case !k.Set.Regain(channel):
			delete(k.live, channel) // it will be filled
		case k.lost[channel]:
			k.Broker.Interrupted(channel)
		}
	}
	slices.SortFunc(k.missed, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range k.missed {
		if k.live[e.channel] {
			k.deliver(e)
		}
	}
	k.since, k.behind, k.missed, k.lost = 0, false, nil, nil
	return nil
}

// collect takes in a snapshot of channels that were held.
func (k *keeper) collect(s snapshot) {
	for i, channel := range s.channels {
		log := s.logs[i]
		k.live[channel] = true
		if log.evicted > k.since {
			k.lost[channel] = true
		}
		for _, e := range log.entries {
			k.miss(e)
		}
	}
}

// miss notes a message that is to be delivered when all have been collected.
func (k *keeper) miss(e entry) {
	if k.size > maxMissed {
		k.lost[e.channel] = true
		return
	}
	k.size += len(e.payload)
	k.missed = append(k.missed, e)
}
