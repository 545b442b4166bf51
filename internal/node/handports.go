package node

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"millrace/internal/handover"
)

// load tells the successor all that is not a loop's, and begins to tell it what is published.
func (p *predecessor) load() error {
	monotonic, loop := p.public.LoopTime()
	clock := &handover.Clock{Monotonic: int64(monotonic), Loop: int64(loop), Loops: uint32(p.public.Loops())}
	if err := p.send(handover.KindClock, clock); err != nil {
		return err
	}
	if err := p.sendListeners(); err != nil {
		return err
	}
	p.control.Accompany(func(data []byte) { p.conn.Send(handover.KindControl, data) })
	if err := p.besides(); err != nil {
		return err
	}
	tap, err := p.broker.Tap(p.version)
	if err != nil {
		return err
	}
	p.tap = tap
	p.tasks.Go(func() {
		if err := tap.Run(func(piece []byte) error { return p.conn.Send(handover.KindRelay, piece) }); err != nil {
			p.fail(fmt.Errorf("tell the successor what is published: %w", err))
		}
	})
	for len(p.ends) < p.public.Loops() {
		frame, err := p.expect(handover.KindLoaded, loadTime)
		if err != nil {
			return err
		}
		p.ends = append(p.ends, frame.FDs...)
	}
	return p.step(Step{Name: StepLoaded})
}

// besides sends what belongs to no loop and to no channel, or what of it has changed.
func (p *predecessor) besides() error {
	return p.sendBeside(p.version, func(payload []byte) error { return p.conn.Send(handover.KindBeside, payload) })
}

// sendListeners sends those of the ports beside the public one. This process accepts from
// them until the switch. If it dies before, the successor does.
func (p *predecessor) sendListeners() error {
	send := func(port handover.Port, descriptor func() (int, error)) error {
		fd, err := descriptor()
		if err != nil {
			return err
		}
		return p.send(handover.KindListener, &handover.Listener{Port: port}, fd)
	}
	if p.admin != nil {
		if err := send(handover.PortAdmin, p.admin.Descriptor); err != nil {
			return err
		}
	}
	if p.ops != nil {
		return send(handover.PortOps, p.ops.Descriptor)
	}
	return nil
}

// freeze has publishers stop, and what they have published arrive.
func (p *predecessor) freeze() error {
	fence, err := p.settleEngine()
	if err != nil {
		return err
	}
	p.touch()
	stopping, cancel := context.WithTimeout(p.ctx, stepTime)
	defer cancel()
	if p.ops != nil {
		ending, cancel := context.WithTimeout(stopping, opsTime)
		busy := p.ops.Release(ending)
		if cancel(); busy > 0 {
			p.opts.Logger.Warn("requests at the ops port take long: they end with the predecessor", "requests", busy)
		}
	}
	if err := p.besides(); err != nil {
		return err
	}
	if err := p.leaveEngine(stopping, fence); err != nil {
		return err
	}
	p.stopped = time.Now()
	if p.order, err = p.broker.Freeze(); err != nil {
		return err
	}
	if err := p.tap.Flush(stopping); err != nil {
		return fmt.Errorf("the successor does not take what was published: %w", err)
	}
	if p.admin != nil {
		releasing, cancel := context.WithTimeout(stopping, freezeTime)
		defer cancel()
		if err := p.admin.Release(releasing); err != nil {
			return fmt.Errorf("the admin port: %w", err)
		}
	}
	return p.step(Step{Name: StepFrozen, Streams: int64(p.figures.Streams)})
}

// switchOver has the successor take over everything, with the ports, and waits until it serves
// them. There is no way back once it has said that all is there: see isSwitched.
func (p *predecessor) switchOver() error {
	if !p.detach() { // from here on, the end of this process is asked of the successor
		return context.Cause(p.ctx)
	}
	p.ordered = true
	if err := p.send(handover.KindSwitch, &p.order); err != nil {
		return err
	}
	if p.ops != nil {
		if err := p.ops.HandOver(p.version, p.conn.Send); err != nil {
			return err
		}
	}
	if p.admin != nil {
		if err := p.admin.HandOver(p.version, p.conn.Send); err != nil {
			return err
		}
	}
	p.step(Step{Name: StepSwitch, Streams: int64(p.figures.Streams)})
	if _, err := p.expect(handover.KindSwitched, lastTime); err != nil {
		return err
	}
	p.figures.Publishers = time.Since(p.stopped)
	if p.admin != nil {
		if err := p.admin.HandRest(p.version, p.conn.Send); err != nil {
			return err
		}
	}
	if _, err := p.expect(handover.KindDone, lastTime); err != nil {
		return err
	}
	p.step(Step{Name: StepDone, Streams: int64(p.figures.Streams)})
	return nil
}

// part ends this process's part: nothing is written, and nothing is shut down.
func (p *predecessor) part() error {
	p.figures.Took = time.Since(p.began)
	bye := p.Part()
	bye.Upgrades = p.upgrades.done(p.figures)
	err := p.send(handover.KindBye, &bye)
	if err != nil { // the successor has all, and sees the end of this process
		p.opts.Logger.Warn("the successor could not be told of the end of its predecessor", "error", err)
	}
	p.public.LetGo()
	p.tap.Close()
	p.end(nil)
	return nil
}

// takeBack has everything go on as before, for a cause. The successor is dead: it could write to
// the same streams until then.
func (p *predecessor) takeBack(cause error) error {
	p.fail(cause)
	if p.begun {
		taken, err := p.public.TakeBack()
		if err != nil {
			p.opts.Logger.Error("event loops cannot be taken back", "error", err)
		}
		p.figures.Ended += uint64(taken.Unexplained + taken.Severed)
		p.opts.Logger.Info("connections are taken back from a successor that has failed", "connections", taken.Connections,
			"written_to", taken.Written, "closed", taken.Closed, "unexplained", taken.Unexplained, "severed", taken.Severed)
	}
	p.control.Accompany(nil) // after that, for loops that missed an order to end streams
	p.broker.Thaw()
	if p.backplane != nil {
		p.backplane.TakeBack()
	}
	if p.admin != nil {
		p.admin.Resume()
	}
	if p.ops != nil {
		p.ops.Resume()
	}
	if p.tap != nil {
		p.tap.Close()
	}
	p.end(cause)
	for _, fd := range p.ends {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
	for len(p.answers) > 0 {
		frame := <-p.answers
		frame.Drop()
	}
	p.figures.Streams = 0
	if p.touched {
		return fmt.Errorf("%w: %w", ErrTakenBack, cause)
	}
	return cause
}

// lose ends what is left after the successor has failed when everything was its own.
func (p *predecessor) lose(cause error) error {
	p.tap.Close()
	p.end(cause)
	return fmt.Errorf("%w: %w", ErrLost, cause)
}

// killSuccessor returns when the successor has ended.
func (p *predecessor) killSuccessor() {
	p.other.Kill()
	for {
		select {
		case <-p.other.Gone():
			return
		case <-time.After(stepTime):
			p.opts.Logger.Error("the successor has been killed and does not end: what it had waits for that")
		}
	}
}

// touch notes that something may have stopped.
func (p *predecessor) touch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.touched = true
}
