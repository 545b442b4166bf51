package channels

import "fmt"

// ControlChannel carries messages between the nodes of a backplane that are no events. It is
// for the process itself: no stream can have it, no glob fits it, and Publish refuses
// it. A program that can write to the engine can write there, as it can to every channel.
const ControlChannel = "__millrace:control"

var errControl = fmt.Errorf("%w: nodes talk to each other on %q", ErrName, ControlChannel)

// Tell has every node of the backplane hear data, this one too (see HearControl): at most
// 4 KiB of text. It waits for the engine as Publish does. Safe for concurrent use.
func (b *Broker) Tell(data []byte) error {
	a := Arrival{channel: ControlChannel, data: data, event: Event{Data: data}}
	if err := a.event.check(maxControl, 0, true); err != nil {
		return err
	}
	if _, err := b.check(&a); err != nil {
		return err
	}
	_, err := b.publish(&a)
	return err
}

// maxControl is the largest message of Tell: engines take no less.
const maxControl = 4 << 10

// HearControl has hear called with what is told, until the returned function has
// returned. It is called by one goroutine at a time, must not keep data, and must neither
// block nor call the broker. Safe for concurrent use.
func (b *Broker) HearControl(hear func(data []byte)) (stop func()) {
	o := &control{hear}
	b.Ports().Observe(o, ControlChannel)
	return func() { b.Ports().Unobserve(o, ControlChannel) }
}

// control is the Observer of HearControl.
type control struct{ hear func(data []byte) }

// Hear implements Observer.
func (c *control) Hear(_ Glob, _ string, data []byte) { c.hear(data) }
