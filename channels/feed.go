package channels

import "slices"

// Feed is the part of the broker that a backplane has: the backplane hands in the engine's
// events here, and tells from which place on they are everything. All of its methods are
// safe for concurrent use, but calls about one channel are made in their order.
//
// An engine that keeps no history calls Deliver for each event, Followed when it delivers
// everything of a channel, and Interrupted when something may have been missed. One that
// does, numbers its messages: see SetEpoch, Advance, Fill and DeliverAt.
type Feed struct{ broker *Broker }

// Feed returns the feed that a backplane is started with.
func (b *Broker) Feed() Feed { return Feed{b} }

// Arrival is an event that has been checked and encoded, on its way to its place in the
// order. It is delivered once, by one goroutine at a time.
type Arrival struct {
	channel string
	payload Payload
	data    []byte  // as it was published, for observers
	event   Event   // for streams: data is decoded
	wire    []byte  // of event, without id and blank line; nil if the channel is Unstreamed
	alone   []byte  // wire compressed, for gzip streams: see Broker.compressAlone
	seq     uint64  // the place that an engine has given it, or 0
	matches matches // globs that it fits
	heard   bool    // observers have been told of it, see Broker.hear
	tap     *Tap    // through which a successor is told of it, nil for none
	noted   uint64  // when: see Tap.await
}

// Size is the memory that an arrival holds beside itself, in bytes.
func (a *Arrival) Size() int { return len(a.data) + len(a.wire) + len(a.alone) }

// Prepare checks and encodes an event that the engine brings, decoded as
// Options.Decode wants it, so that it can be delivered once there is room. number is the
// one that the engine has given it, 0 if it gives none. ev.Data is kept until then. It
// returns an error that wraps ErrName, ErrEventTooLarge, ErrEventData, ErrEventType,
// ErrEventRetry or ErrNumber for an event that cannot be delivered. Unlike Publish it takes
// a payload that Options.Decode refuses: streams get it as it is.
func (f Feed) Prepare(channel string, ev Event, number uint64) (*Arrival, error) {
	b, a := f.broker, &Arrival{channel: channel, data: ev.Data, event: ev}
	if number != 0 {
		if err := checkNumber(number); err != nil {
			return nil, err
		}
	}
	refused, err := b.check(a)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		b.noteUndecoded(channel, refused)
	}
	a.seq = b.sequence(number)
	b.encode(a)
	return a, nil
}

// Admit gives an event its place in the order of all messages of this node, and hands it
// to every loop with subscribers of the channel and to its observers. Receivers of the
// receipt is how many there are at that place in the order. When a loop is too far behind,
// it waits for it, at most Options.PublishTimeout, and then returns ErrBusy. An event whose
// number is not above all before has been delivered already, and is passed over.
func (f Feed) Admit(a *Arrival) (Receipt, error) { return f.broker.admit(a, forLoops) }

// Offer is Admit for a caller that must not wait, such as the goroutine that reads from an
// engine for all channels: where Admit would wait, Offer returns ErrBusy at once. It may be
// called again.
func (f Feed) Offer(a *Arrival) (Receipt, error) { return f.broker.admit(a, forNothing) }

// Deliver is Prepare and Admit for an event to which the engine gives no number.
func (f Feed) Deliver(channel string, ev Event) (Receipt, error) {
	return f.deliver(channel, ev, 0)
}

// DeliverAt is Prepare and Admit for an event with a number.
func (f Feed) DeliverAt(channel string, ev Event, number uint64) (Receipt, error) {
	if err := checkNumber(number); err != nil {
		return Receipt{}, err
	}
	return f.deliver(channel, ev, number)
}

func (f Feed) deliver(channel string, ev Event, number uint64) (Receipt, error) {
	a, err := f.Prepare(channel, ev, number)
	if err != nil {
		return Receipt{}, err
	}
	return f.Admit(a)
}

// Head returns the sequence of the newest message, or the number of it.
func (f Feed) Head() uint64 {
	b := f.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.number(b.seq)
}

// Subscribers returns how many subscribers the channel has on this node, observers
// included: the receivers of an event that is sent to the engine.
func (f Feed) Subscribers(channel string) int { return f.broker.Ports().Subscribers(channel) }

// lossSlice is how many channels are told of a gap under one hold of the lock.
const lossSlice = 128

// Followed tells that everything published on the channels after the sequence
// from is being delivered. Subscribers that wait for it can begin. If there are some
// that do not wait, it is for the second time, and they are told as by Interrupted. If
// confirm is given, only the names count for which it returns true. confirm is called
// under the broker's lock, as Follow is, so its state changes together with the broker's.
func (f Feed) Followed(from uint64, confirm func(name string) bool, names ...string) {
	b := f.broker
	for part := range slices.Chunk(names, lossSlice) {
		b.mu.Lock()
		for _, name := range part {
			if confirm == nil || confirm(name) {
				b.followedLocked(from, name)
			}
		}
		b.mu.Unlock()
	}
}

// followedLocked is Followed of one channel.
func (b *Broker) followedLocked(from uint64, name string) {
	c := b.channels[name]
	switch {
	case c == nil:
	case c.followed:
		if b.permitLocked(c) && b.tap != nil {
			b.tap.changed(c)
		}
		b.postGapLocked(c, GapBackplane)
	default:
		c.lack(b.sequence(from))
		c.setFollowed(&b.mu)
		if b.tap != nil {
			b.tap.changed(c)
		}
	}
}

// Refused tells that the engine will not deliver the messages of the channels.
// Subscribers that wait for it can begin, all with a gap until Followed is called;
// those that do not wait are told as by Interrupted.
func (f Feed) Refused(names ...string) {
	b := f.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil || c.subscribers == 0 || c.refused {
			continue
		}
		c.refused = true
		b.refused++
		if c.followed {
			b.postGapLocked(c, GapBackplane)
		} else {
			c.setFollowed(&b.mu)
		}
		if b.tap != nil {
			b.tap.changed(c)
		}
	}
}

// permitLocked notes that c is not refused, and returns whether it was.
func (b *Broker) permitLocked(c *Channel) bool {
	if !c.refused {
		return false
	}
	c.refused = false
	b.refused--
	return true
}

// Interrupted tells the subscribers of the channels, those to come included, by a
// gap event at this place in the order, that something may be missing before it.
func (f Feed) Interrupted(names ...string) { f.Lost(GapBackplane, names...) }

// Lost is Interrupted for a reason.
func (f Feed) Lost(why Gap, names ...string) {
	b := f.broker
	for part := range slices.Chunk(names, lossSlice) {
		b.mu.Lock()
		for _, name := range part {
			b.loseLocked(name, why)
		}
		b.mu.Unlock()
	}
}
