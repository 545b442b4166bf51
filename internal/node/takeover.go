package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"syscall"
	"time"

	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/server"
)

// Takeover is how a node takes over from another process.
type Takeover struct {
	Conn        *handover.Conn // TakeOver owns it
	Predecessor Process
	// Ready is called when the node has everything, before its predecessor may end.
	Ready func(*Node)
}

// successor is a node that takes over.
type successor struct {
	*Node
	Takeover
	*exchange
	listeners          map[handover.Port]net.Listener // that have come
	order              *handover.Switch               // nil: not before the switch
	engine             handover.Engine
	adminCame, opsCame bool // all that the ports had
	loaded             bool // the broker has all that it is to have before the loops
	placing            bool // the broker places what is published
	serving, over      bool
	bye                handover.Bye
}

// TakeOver is Start for a node that takes over all that another process has. What was asked of
// that at last is returned with it.
//
// After an error the process has to end at once: to close anything in order would write to
// connections that the other process serves.
func TakeOver(o Options, t Takeover) (*Node, handover.Bye, error) {
	x := begin(context.Background(), t.Conn, t.Predecessor)
	x.conn.SetTimeout(silenceTime)
	o.Broker.Successor = true
	n, err := prepare(o)
	if err != nil {
		return nil, handover.Bye{}, x.refuse(err)
	}
	s := &successor{Node: n, Takeover: t, exchange: x, listeners: make(map[handover.Port]net.Listener)}
	if err := s.greet(); err != nil {
		return nil, s.bye, s.refuse(err)
	}
	for !s.over {
		if err := s.next(); err != nil {
			return nil, s.bye, err
		}
	}
	s.end(nil)
	n.upgrades.set(s.bye.Upgrades)
	if err := n.tls.begin(n.public.TLSAddr()); err != nil {
		o.Logger.Error("certificates are neither ordered nor renewed", "error", err)
	}
	n.watchTLS()
	return n, s.bye, nil
}

// refuse tells the predecessor why this process cannot take over, and returns err.
func (x *exchange) refuse(err error) error {
	x.conn.Send(handover.KindRefuse, handover.Encode(handover.Oldest, &handover.Refusal{Why: []string{err.Error()}}))
	return err
}

// greet agrees with the predecessor on what must be alike.
func (s *successor) greet() error {
	ours := s.opts.hello(s.opts.Public.Loops)
	if err := s.conn.Send(handover.KindHello, handover.Encode(handover.Oldest, ours)); err != nil {
		return err
	}
	frame, err := s.receive()
	switch {
	case err != nil:
		return err
	case frame.Kind == handover.KindRefuse:
		return refusal(frame)
	case frame.Kind != handover.KindHello:
		return fmt.Errorf("%q of the predecessor, want %q", frame.Kind, handover.KindHello)
	}
	var theirs handover.Hello
	if err := handover.Decode(handover.Oldest, frame.Payload, &theirs); err != nil {
		return err
	}
	s.version, err = theirs.Agree(ours)
	return err
}

// next takes the next frame. Its error is why this process has to end, which it has not once it
// serves.
func (s *successor) next() error {
	frame, err := s.receive()
	if err == nil {
		if err = s.take(frame); err == nil {
			return nil
		}
		err = fmt.Errorf("%s of the predecessor: %w", frame.Kind, err)
		if !s.serving {
			return s.refuse(err)
		}
	}
	return s.goOn(err)
}

// take takes what the predecessor has sent.
func (s *successor) take(frame handover.Frame) (err error) {
	if !s.expects(frame.Kind) {
		return errors.New("it may come at another time, not now")
	}
	switch frame.Kind {
	case handover.KindClock:
		return s.takeClock(frame)
	case handover.KindListener:
		return s.takeListener(frame)
	case handover.KindBeside:
		return s.takeBeside(s.version, frame.Payload)
	case handover.KindRelay:
		return s.takeRelay(frame)
	case handover.KindControl:
		s.control.Hear(frame.Payload)
	case handover.KindSettle:
		return s.settleEngine(frame)
	case handover.KindEngine:
		return handover.Decode(s.version, frame.Payload, &s.engine)
	case handover.KindSwitch:
		s.order = new(handover.Switch)
		if err := handover.Decode(s.version, frame.Payload, s.order); err != nil {
			return err
		}
		return s.takePorts()
	case handover.KindOps:
		if s.opsCame, err = s.ops.Adopt(s.version, frame); err != nil {
			return err
		}
		return s.takePorts()
	case handover.KindAdmin:
		if s.adminCame, err = s.admin.Adopt(s.version, frame); err != nil {
			return err
		}
		return s.takePorts()
	case handover.KindAdminRest:
		return s.admin.TakeRest(s.version, frame)
	case handover.KindBye:
		s.over = true
		return handover.Decode(s.version, frame.Payload, &s.bye)
	default:
		return errors.New("it has no meaning here")
	}
	return nil
}

// takeClock opens the public port, without listeners: its loops wait for what they take over.
func (s *successor) takeClock(frame handover.Frame) (err error) {
	var clock handover.Clock
	if err := handover.Decode(s.version, frame.Payload, &clock); err != nil {
		return err
	}
	o := &s.opts
	o.Public.Loops = int(clock.Loops)
	o.Public.Successor = &server.Takeover{Version: s.version, Monotonic: time.Duration(clock.Monotonic), Loop: time.Duration(clock.Loop)}
	return s.openPublic()
}

// takeListener keeps the listener of a port.
func (s *successor) takeListener(frame handover.Frame) error {
	var l handover.Listener
	if err := handover.Decode(s.version, frame.Payload, &l); err != nil {
		return err
	}
	if len(frame.FDs) != 1 {
		return fmt.Errorf("%d descriptors, want 1", len(frame.FDs))
	}
	listener, err := ports.Inherit(frame.FDs[0])
	s.listeners[l.Port] = listener
	return err
}

// takeRelay takes a piece of what is published, and of the history at first. When that is
// complete, the loops may come.
func (s *successor) takeRelay(frame handover.Frame) error {
	if err := s.broker.Relay(frame.Payload); err != nil {
		return err
	}
	if s.loaded {
		return nil
	}
	select {
	case <-s.broker.Restored():
		s.loaded = true
		return s.load()
	default:
		return nil
	}
}

// load opens what is above the broker, and tells the predecessor that its loops may come.
func (s *successor) load() error {
	if err := s.openPorts(s.listeners); err != nil {
		return err
	}
	s.control.Accompany(func(data []byte) { s.conn.Send(handover.KindControl, data) })
	s.holdEngine()
	ends, err := s.public.LoopEnds()
	if err != nil {
		return err
	}
	defer func() {
		for _, fd := range ends {
			syscall.Close(fd)
		}
	}()
	for first := 0; first < len(ends); first += handover.MaxFDs {
		batch := ends[first:min(first+handover.MaxFDs, len(ends))]
		if err := s.conn.Send(handover.KindLoaded, nil, batch...); err != nil {
			return err
		}
	}
	s.public.Start()
	s.tasks.Go(s.watchLoops)
	return nil
}

// watchLoops tells the predecessor of a loop that cannot take over.
func (s *successor) watchLoops() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case a := <-s.public.Adopted():
			if a.Stage == server.Failed {
				s.refuse(fmt.Errorf("event loop %d: %w", a.Loop, a.Err))
			}
		}
	}
}

// takePorts takes over everything when the switch and all that belongs to it have come: first
// all observers hear, then publishers go on.
func (s *successor) takePorts() error {
	if s.serving || s.order == nil || s.admin != nil && !s.adminCame || s.ops != nil && !s.opsCame {
		return nil
	}
	if err := s.place(); err != nil {
		return err
	}
	// The predecessor, if it lives, takes everything back unless it gets this frame. So nobody
	// may have been served before it, and nothing that fails may come after it.
	if err := s.conn.Send(handover.KindSwitched, nil); err != nil {
		return s.goOn(err)
	}
	s.serve()
	s.conn.Send(handover.KindDone, nil)
	go debug.FreeOSMemory() // what came in frames is garbage now, and the next collection may be far
	return nil
}

// place makes the broker the one that places messages.
func (s *successor) place() (err error) {
	switch {
	case s.placing:
	case s.order != nil:
		err = s.broker.TakeOver(*s.order)
	default:
		err = s.broker.GoOn()
	}
	s.placing = err == nil
	return err
}

// serve has everything go on. The loops do last what had to wait until there is no way back:
// that may take each of them a while, for which no publisher waits.
func (s *successor) serve() {
	s.serving = true
	s.conn.SetTimeout(lastTime)
	if s.backplane != nil {
		s.backplane.TakeOver(s.engine)
	}
	s.goOnCounting()
	s.control.Switched() // before there can be kicks, which other nodes have to hear of
	s.servePorts()
	s.public.Switched()
	s.Takeover.Ready(s.Node)
}

// goOn goes on without the predecessor, of which nothing can be had any more for the reason err: if
// it is dead, or if all is here.
func (s *successor) goOn(err error) error {
	switch {
	case s.serving:
		s.opts.Logger.Warn("the predecessor has said no last word", "error", err)
		if s.admin != nil {
			s.admin.LoseRest()
		}
		s.over = true
		return nil
	case !s.hasDied(err):
		return fmt.Errorf("the predecessor is alive, and nothing can be had of it: %w", err)
	case !s.loaded:
		return fmt.Errorf("the predecessor has ended before all had come: %w", err)
	}
	s.over = true
	s.opts.Logger.Error("the predecessor has ended in the middle of an upgrade: going on with what has come", "error", err)
	s.public.GoOn()
	if err := s.place(); err != nil {
		return err
	}
	s.serve()
	return nil
}
