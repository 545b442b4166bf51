package bench

import "time"

// None is the argument or the reply of a part's method that has none.
type None struct{}

// StreamsPart is Streams as a part for ServeParts.
type StreamsPart struct{ streams *Streams }

// Open is Open. It is called once, and before the other methods.
func (p *StreamsPart) Open(cfg Config, reply *Report) (err error) {
	if p.streams, err = Open(cfg); err == nil {
		*reply = p.streams.Report()
	}
	return err
}

// AwaitArgs are the arguments of Streams.Await.
type AwaitArgs struct {
	Event   uint64
	Timeout time.Duration
}

// Await is Streams.Await.
func (p *StreamsPart) Await(args AwaitArgs, _ *None) error {
	return p.streams.Await(args.Event, args.Timeout)
}

// Report is Streams.Report.
func (p *StreamsPart) Report(_ None, reply *Report) error {
	*reply = p.streams.Report()
	return nil
}

// FloorPart is Floor as a part for ServeParts.
type FloorPart struct{ floor *Floor }

// Listen is NewFloor; the reply is its address.
func (p *FloorPart) Listen(loops int, addr *string) (err error) {
	if p.floor, err = NewFloor(loops); err == nil {
		*addr = p.floor.Addr().String()
	}
	return err
}

// Broadcast is Floor.Broadcast.
func (p *FloorPart) Broadcast(wire []byte, _ *None) error { return p.floor.Broadcast(wire) }
