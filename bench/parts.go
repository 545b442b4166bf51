package bench

import (
	"sync/atomic"
	"time"
)

// Parts are those that every program which calls Start gives to ServeParts.
func Parts() map[string]any {
	return map[string]any{
		partStreams: new(StreamsPart),
		partFloor:   new(FloorPart),
		partNetHTTP: new(NetHTTPPart),
	}
}

const (
	partStreams = "streams"
	partFloor   = "floor"
	partNetHTTP = "nethttp"
)

// None is the argument or the reply of a part's method that has none.
type None struct{}

// StreamsPart is Streams as a part for ServeParts.
type StreamsPart struct {
	streams *Streams
	opening atomic.Pointer[Streams] // the newest, open or not
}

// Open is Open. It is called before the other methods, and again after Close.
func (p *StreamsPart) Open(cfg Config, reply *Report) (err error) {
	s, err := open(cfg, p.opening.Store)
	if err == nil {
		*reply = s.Report()
	}
	p.streams = s
	return err
}

// Opened is Streams.Opened, also while Open is at work.
func (p *StreamsPart) Opened(_ None, n *int) error {
	if s := p.opening.Load(); s != nil {
		*n = s.Opened()
	}
	return nil
}

// Expect is Streams.Expect.
func (p *StreamsPart) Expect(published time.Duration, _ *None) error {
	return p.streams.Expect(published)
}

// TimePings is Streams.TimePings.
func (p *StreamsPart) TimePings(_, _ *None) error { return p.streams.TimePings() }

// ChurnArgs are the arguments of Streams.Churn.
type ChurnArgs struct{ For, Timeout time.Duration }

// Churn is Streams.Churn.
func (p *StreamsPart) Churn(args ChurnArgs, replaced *int) (err error) {
	*replaced, err = p.streams.Churn(args.For, args.Timeout)
	return err
}

// Close is Streams.Close.
func (p *StreamsPart) Close(_, _ *None) error {
	p.streams.Close()
	return nil
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

// ListenArgs are the arguments of NewFloor and NewNetHTTP.
type ListenArgs struct {
	Loops       int
	OwnTables   bool
	Certificate *Certificate // nil: in the clear
}

// Listen is NewFloor; the reply is its address.
func (p *FloorPart) Listen(args ListenArgs, addr *string) (err error) {
	if p.floor, err = NewFloor(args.Loops, args.OwnTables, args.Certificate); err == nil {
		*addr = p.floor.Addr().String()
	}
	return err
}

// Broadcast is Floor.Broadcast.
func (p *FloorPart) Broadcast(wire []byte, _ *None) error { return p.floor.Broadcast(wire) }

// NetHTTPPart is NetHTTP as a part for ServeParts.
type NetHTTPPart struct{ server *NetHTTP }

// NetHTTPAddrs are the addresses of a NetHTTP.
type NetHTTPAddrs struct{ Streams, Publish string }

// Listen is NewNetHTTP.
func (p *NetHTTPPart) Listen(args ListenArgs, addrs *NetHTTPAddrs) (err error) {
	if p.server, err = NewNetHTTP(args.Certificate); err == nil {
		*addrs = p.server.Addrs()
	}
	return err
}
