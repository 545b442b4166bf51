package channels

import (
	"cmp"
	"errors"
	"time"
)

// ErrBusy is returned by Publish when a loop has not caught up in time.
var ErrBusy = errors.New("an event loop is too far behind, the event was not published: publish again later")

// Receipt is the result of a publish.
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

// Publish has ev delivered to every subscriber of the channel on every node: on a node
// of its own at once, else by way of the backplane's engine (Backplane.Send), which
// brings it to every node's Feed, this one's included. ev.Data is not kept. When a loop is
// so far behind that memory would grow, Publish waits, at most Options.PublishTimeout, and
// then returns ErrBusy; other errors wrap ErrName, ErrEventTooLarge, ErrEventData,
// ErrEventType or ErrEventRetry, or are the backplane's or Options.Decode's.
func (b *Broker) Publish(channel string, ev Event) (Receipt, error) {
	a := Arrival{channel: channel, data: ev.Data, event: ev}
	if err := b.accept(&a); err != nil {
		return Receipt{}, err
	}
	return b.publish(&a)
}

// publish sends an arrival that was accepted, or admits it.
func (b *Broker) publish(a *Arrival) (r Receipt, err error) {
	if b.Linked() {
		if b.frozen.Load() {
			return Receipt{}, ErrFrozen
		}
		began := time.Now()
		r, err = b.opts.Backplane.Send(a.channel, Event{a.data, a.event.Type, a.event.Retry})
		b.publishing.took(time.Since(began))
	} else {
		b.encode(a)
		r, err = b.admit(a, forReaders)
	}
	if !errors.Is(err, ErrFrozen) {
		b.publishing.note(err)
	}
	return r, err
}

// Publication is an event on its way in a pipeline, and its result.
type Publication struct {
	Channel string
	Event   Event
	Receipt Receipt
	Err     error // as of Broker.Publish
}

// PublishAll is Publish for all of batch, in order, and sets the result of each. If there
// is a backplane, it waits once for many.
func (b *Broker) PublishAll(batch []Publication) {
	p, pipelined := b.opts.Backplane.(Pipeline)
	var accepted []*Publication
	for i := range batch {
		switch one := &batch[i]; {
		case !pipelined:
			one.Receipt, one.Err = b.Publish(one.Channel, one.Event)
		default:
			if one.Err = b.accept(&Arrival{channel: one.Channel, data: one.Event.Data, event: one.Event}); one.Err == nil {
				accepted = append(accepted, one)
			}
		}
	}
	if b.frozen.Load() {
		FailAll(accepted, ErrFrozen)
		return
	}
	if len(accepted) == 0 {
		return
	}
	began := time.Now()
	p.SendAll(accepted)
	b.publishing.took(time.Since(began))
	for _, one := range accepted {
		b.publishing.note(one.Err)
	}
}

// Linked tells whether the broker has a backplane, so that one who publishes waits
// for an engine. Safe for concurrent use.
func (b *Broker) Linked() bool { return b.opts.Backplane != nil }

// Health returns why events of other nodes may be missing, nil if they are not.
// Safe for concurrent use.
func (b *Broker) Health() error {
	if !b.Linked() {
		return nil
	}
	return b.opts.Backplane.Health()
}

// accept returns why Publish refuses an arrival.
func (b *Broker) accept(a *Arrival) error {
	if a.channel == ControlChannel {
		return errControl
	}
	refused, err := b.check(a)
	if err != nil {
		return err
	}
	return refused
}

// check decodes an arrival, or returns why it cannot be delivered to anybody. refused
// tells why Options.Decode refuses it; streams can still have such an event as it is. This
// is the one place that decodes.
func (b *Broker) check(a *Arrival) (refused, err error) {
	if err := CheckName([]byte(a.channel)); err != nil {
		return nil, err
	}
	a.payload = b.payload(a.channel)
	if err := a.event.check(b.opts.MaxEventBytes, b.tailSize, a.payload == Text); err != nil || a.payload == Unstreamed {
		return nil, err
	}
	if b.opts.Decode != nil {
		data, err := b.opts.Decode(a.channel, a.data)
		if refused = err; err == nil {
			a.event.Data = data
		}
	}
	return refused, a.event.checkWire(len(a.data), b.opts.MaxEventBytes, b.tailSize)
}

// noteUndecoded notes that streams get an event of the engine as it is.
func (b *Broker) noteUndecoded(channel string, why error) {
	b.undecoded.Add(1)
	if b.opts.Undecoded != nil {
		b.opts.Undecoded(channel, why)
	}
}

// encode completes an arrival that has been checked, but for the id: that comes last, when
// the place is known. So it is done before the lock is taken.
func (b *Broker) encode(a *Arrival) {
	a.matches = b.globs.match(a.channel)
	if a.payload != Unstreamed {
		room := a.event.fieldsSize() + b.idSize + len("\n")
		a.wire = a.event.appendFields(make([]byte, 0, room))
	}
}
