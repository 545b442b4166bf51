package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
)

// Limits of time of an upgrade. A step that takes longer ends the upgrade.
const (
	loadTime   = 30 * time.Second // for the successor to start, and for it to load what is there
	stepTime   = 5 * time.Second  // for each later step
	quietTime  = 10 * time.Second // for a fan-out under way to end
	canaryTime = time.Second      // in which the first loop shows that the successor serves
	opsTime    = time.Second      // for requests at the ops port to end
	freezeTime = time.Second      // for publishers to stop
	lastTime   = 30 * time.Second // for the successor to take over all, after which there is no way back
)

// maxAnswers bounds the answers of a successor that wait: above that of KindLoaded, of which
// there is one for each handover.MaxFDs loops.
const maxAnswers = 64

// Errors of HandOver. Unless it is ErrLost, nothing has changed for any client but those that
// the successor has accepted itself.
var (
	// ErrRefused is wrapped where the upgrade cannot begin as things are.
	ErrRefused = errors.New("refused")
	// ErrTakenBack is wrapped where loops had stopped or moved, and serve here again.
	ErrTakenBack = errors.New("taken back")
	// ErrLost is wrapped where the successor has ended after the switch: all is lost.
	ErrLost = errors.New("the successor has ended after the switch")
)

// HandOver is how a node is handed over.
type HandOver struct {
	// Start starts the successor and returns it, with a connection that HandOver owns then.
	Start func() (*handover.Conn, Process, error)
	// Step is told of each step. With an error the upgrade ends and is taken back, unless it
	// is after StepSwitch. Loops move at the same time: it may be called several times at once.
	Step func(Step) error
	// Part is called when the successor has everything. What it returns is the successor's to
	// do: it was asked of this process meanwhile.
	Part func() handover.Bye
}

// Step is one that has been taken.
type Step struct {
	Name    string // one of those below
	Loop    int    // of a step of one loop
	Loops   int    // how many there are
	Streams int64  // of the loop, or of all
	Version string // of the successor's program, with StepHello
}

// The steps of an upgrade, in their order.
const (
	StepStarted   = "started"   // the successor runs
	StepHello     = "hello"     // both can go on
	StepLoaded    = "loaded"    // the successor has all channels, and follows
	StepSent      = "sent"      // all that a loop holds is on its way
	StepPrepared  = "prepared"  // and has come: neither process serves it
	StepCommitted = "committed" // it is the successor's
	StepServing   = "serving"   // which serves it
	StepMoved     = "moved"     // all loops are there
	StepFrozen    = "frozen"    // publishers have stopped
	StepSwitch    = "switch"    // all is the successor's: no way back
	StepDone      = "done"      // it serves all
)

// String returns the name, for a step of one loop with the loop's number.
func (s Step) String() string {
	switch s.Name {
	case StepSent, StepPrepared, StepCommitted, StepServing:
		return s.Name + ":" + strconv.Itoa(s.Loop)
	}
	return s.Name
}

// predecessor is a node that is being handed over.
type predecessor struct {
	*Node
	HandOver
	*exchange
	answers        chan handover.Frame // of the successor
	heard          chan struct{}       // closed when nothing comes of it any more
	switched       bool                // it has said that all is its own; hear's until heard is closed
	order          handover.Switch     // what it is told then
	ordered        bool                // it has been told to take over
	ends           []int               // connections of the loops, -1 for those that are in use
	begun          bool                // the public port has been told
	tap            *channels.Tap
	began, stopped time.Time // the upgrade began, and publishers were stopped

	mu      sync.Mutex
	touched bool // a loop or a port may have stopped
	figures handover.Upgrade
	pauses  []pause
}

// HandOver hands all that the node holds to a successor. When it has returned nil or ErrLost,
// nothing but Close may be called; after other errors the node goes on. One upgrade at a time.
// ctx ends it, unless it is after StepSwitch.
func (n *Node) HandOver(ctx context.Context, h HandOver) (handover.Upgrade, error) {
	began := time.Now()
	p := &predecessor{Node: n, HandOver: h, answers: make(chan handover.Frame, maxAnswers), heard: make(chan struct{}), began: began}
	err := p.run(ctx)
	if err != nil {
		n.upgrades.failed(err)
	}
	p.figures.Took = time.Since(began)
	return p.figures, err
}

// run is HandOver.
func (p *predecessor) run(ctx context.Context) error {
	if p.stopping.Load() {
		return fmt.Errorf("%w: millrace is stopping", ErrRefused)
	}
	if err := roomForSuccessor(); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	conn, successor, err := p.Start()
	if err != nil {
		return err
	}
	p.exchange = begin(ctx, conn, successor)
	conn.SetTimeout(loadTime) // until its hello
	p.tasks.Go(p.hear)
	err = p.handOver()
	p.figures.Median, p.figures.Longest = median(p.pauses)
	switch {
	case err == nil:
		return p.part()
	case !p.isSwitched():
		p.killSuccessor()
		return p.takeBack(err)
	case p.hasGone(silenceTime):
		return p.lose(err)
	}
	p.opts.Logger.Warn("the successor serves everything, and does not say that it is done", "error", err)
	return p.part()
}

// isSwitched tells whether everything is the successor's, for good: it can say so no more. What it
// said while this process did not look counts.
func (p *predecessor) isSwitched() bool {
	p.conn.HearOut()
	<-p.heard
	return p.ordered && p.switched
}

// handOver takes all steps.
func (p *predecessor) handOver() error {
	for _, part := range []func() error{p.greet, p.load, p.move, p.freeze, p.switchOver} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// step tells of a step that has been taken.
func (p *predecessor) step(s Step) error {
	s.Loops = p.public.Loops()
	if err := p.Step(s); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return context.Cause(p.ctx)
}

// hear takes what the successor sends, until nothing can come any more: an upgrade that has failed
// may turn out to be one that cannot be taken back, see isSwitched.
func (p *predecessor) hear() {
	for {
		frame, err := p.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.doubt(fmt.Errorf("the successor is silent: %w", err))
			continue
		}
		if err != nil {
			close(p.heard)
			p.fail(p.explain(err))
			return
		}
		if frame.Kind != handover.KindLoaded {
			frame.Drop()
		}
		switch frame.Kind {
		case handover.KindControl:
			p.control.Hear(frame.Payload)
			continue
		case handover.KindRefuse:
			p.doubt(refusal(frame))
			continue
		case handover.KindSwitched:
			p.switched = true
			p.conn.SetTimeout(lastTime)
		}
		frame.Payload = slices.Clone(frame.Payload)
		select {
		case p.answers <- frame:
		default: // nobody waits for so many
			frame.Drop()
			p.fail(fmt.Errorf("%s of the successor comes out of turn", frame.Kind))
		}
	}
}

// doubt ends the upgrade for a cause, unless there is no way back: then the successor may take its
// time, and what it still gets of this process is worth more.
func (p *predecessor) doubt(cause error) {
	if p.switched {
		p.opts.Logger.Warn("the successor, which serves everything, is in trouble", "error", cause)
		return
	}
	p.fail(cause)
}

// explain says what the end of the connection, err, means.
func (p *predecessor) explain(err error) error {
	if p.hasGone(hintTime) {
		return fmt.Errorf("the successor has ended, and the log may have its reason: %w", err)
	}
	return fmt.Errorf("the successor says nothing any more: %w", err)
}

// expect returns the next answer of the successor, for which there is so much time. One that is
// there counts, whatever has happened since.
func (p *predecessor) expect(kind handover.Kind, patience time.Duration) (frame handover.Frame, err error) {
	select {
	case frame = <-p.answers:
	case <-p.ctx.Done():
		err = context.Cause(p.ctx)
	case <-time.After(patience):
		err = fmt.Errorf("the successor does not say %q within %v", kind, patience)
	}
	if err != nil {
		select {
		case frame = <-p.answers:
		default:
			return frame, err
		}
	}
	if frame.Kind != kind {
		frame.Drop()
		return frame, fmt.Errorf("the successor says %q, want %q", frame.Kind, kind)
	}
	return frame, nil
}

// greet agrees with the successor on what must be alike.
func (p *predecessor) greet() error {
	if err := p.step(Step{Name: StepStarted}); err != nil {
		return err
	}
	frame, err := p.expect(handover.KindHello, loadTime)
	if err != nil {
		return err
	}
	p.conn.SetTimeout(silenceTime)
	var theirs handover.Hello
	if err := handover.Decode(handover.Oldest, frame.Payload, &theirs); err != nil {
		return fmt.Errorf("the successor's hello: %w", err)
	}
	ours := p.opts.hello(p.public.Loops())
	if p.version, err = ours.Agree(&theirs); err != nil {
		if refusal := (*handover.Refusal)(nil); errors.As(err, &refusal) {
			p.conn.Send(handover.KindRefuse, handover.Encode(handover.Oldest, refusal))
		}
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := p.public.BeginHandOver(p.version); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	p.begun = true
	if err := p.conn.Send(handover.KindHello, handover.Encode(handover.Oldest, ours)); err != nil {
		return err
	}
	return p.step(Step{Name: StepHello, Version: theirs.Binary})
}
