package node

import (
	"context"
	"fmt"
	"time"

	"millrace/internal/handover"
)

const (
	// settleTime is how long the successor waits until the engine delivers to it all that it
	// delivers to the predecessor. After that it goes on: channels of which that is not so are
	// told of a gap.
	settleTime = 3 * time.Second
	// heardOf is how many channels that observers hear travel in one frame.
	heardOf = 1024
)

// settleEngine has the engine deliver to the successor, too, and returns the name of the fence
// at which this process is to stop. Everything goes on meanwhile.
func (p *predecessor) settleEngine() (fence string, err error) {
	if p.backplane == nil {
		return "", nil
	}
	heard := p.broker.Feed().Heard()
	for more := true; more; {
		part := heard[:min(len(heard), heardOf)]
		heard = heard[len(part):]
		more = len(heard) > 0
		if err := p.send(handover.KindSettle, &handover.Engine{Heard: part, More: more}); err != nil {
			return "", err
		}
	}
	frame, err := p.expect(handover.KindEngine, settleTime+stepTime)
	if err != nil {
		return "", err
	}
	var theirs handover.Engine
	if err := handover.Decode(p.version, frame.Payload, &theirs); err != nil {
		return "", fmt.Errorf("%s of the successor: %w", frame.Kind, err)
	}
	return theirs.Fence, nil
}

// leaveEngine has the backplane stop at a fence, behind which the successor's goes on, and
// tells the successor the place, with what other nodes have said before it. Publishers go on:
// their events come after the fence.
func (p *predecessor) leaveEngine(ctx context.Context, fence string) error {
	if p.backplane == nil {
		return nil
	}
	place := p.backplane.HandOver(ctx, fence)
	p.control.Flush()
	return p.send(handover.KindEngine, &place)
}

// holdEngine connects to the engine. What it brings is handed on after the switch.
func (s *successor) holdEngine() {
	if s.backplane != nil {
		s.backplane.Hold()
		s.backplane.Start(s.broker.Feed())
	}
}

// settleEngine follows what observers of the predecessor hear, and when all of it has come
// tells how far the engine is.
func (s *successor) settleEngine(frame handover.Frame) error {
	var e handover.Engine
	if err := handover.Decode(s.version, frame.Payload, &e); err != nil {
		return err
	}
	s.backplane.Hear(e.Heard...)
	if !e.More {
		s.tasks.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, settleTime)
			defer cancel()
			s.send(handover.KindEngine, &handover.Engine{Fence: s.backplane.Settled(ctx)})
		})
	}
	return nil
}
