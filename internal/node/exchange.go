package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"millrace/internal/handover"
)

const (
	// beatTime is the time between two signs of life.
	beatTime = time.Second
	// silenceTime is how long one process may wait for a sign of life of the other, or for
	// the other to take what it sends.
	silenceTime = 10 * time.Second
	// deathTime is how long the end of a process may take to be told, once its connection has
	// ended: with a million sockets its threads take seconds to close them. A process that lives
	// ends one that waits for that.
	deathTime = 30 * time.Second
	// hintTime is deathTime where nothing depends on that, or where the connection has not ended.
	hintTime = 2 * time.Second
)

// Process is the other process of an upgrade.
type Process interface {
	// Gone returns a channel that is closed when the process has ended, and for no other
	// reason.
	Gone() <-chan struct{}
	// Kill ends it at once.
	Kill()
}

// exchange is an upgrade as one of its two processes has it: the control connection, and
// what is known of the other process.
type exchange struct {
	conn    *handover.Conn
	other   Process
	version int // of the records
	// ctx is done when the upgrade has failed, or is over, and has the cause. The connection
	// ends then.
	ctx  context.Context
	fail context.CancelCauseFunc
	// detach has the exchange go on if the context ends that it began with. It is false if that
	// has ended already.
	detach func() bool
	tasks  sync.WaitGroup
}

// begin begins an exchange over conn, which ends with ctx.
func begin(ctx context.Context, conn *handover.Conn, other Process) *exchange {
	x := &exchange{conn: conn, other: other}
	x.ctx, x.fail = context.WithCancelCause(context.Background())
	x.detach = context.AfterFunc(ctx, func() { x.fail(context.Cause(ctx)) })
	x.tasks.Go(x.beat)
	return x
}

// beat gives signs of life.
func (x *exchange) beat() {
	defer x.conn.Interrupt()
	ticks := time.NewTicker(beatTime)
	defer ticks.Stop()
	for {
		select {
		case <-x.ctx.Done():
			return
		case <-ticks.C:
		}
		x.conn.Send(handover.KindBeat, nil) // that it fails, the receiver learns
	}
}

// receive returns the next frame that is more than a sign of life.
func (x *exchange) receive() (frame handover.Frame, err error) {
	for err == nil {
		if frame, err = x.conn.Receive(); frame.Kind != handover.KindBeat {
			break
		}
	}
	return frame, err
}

// hasDied tells whether the other process has ended, if the connection has failed with err.
func (x *exchange) hasDied(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return x.hasGone(deathTime)
		}
	}
	return x.hasGone(hintTime)
}

// hasGone tells whether the other process has ended, of which the end may be told within
// patience.
func (x *exchange) hasGone(patience time.Duration) bool {
	select {
	case <-x.other.Gone():
		return true
	case <-time.After(patience):
	}
	select {
	case <-x.other.Gone():
		return true
	default:
		return false
	}
}

// end ends the exchange, for a cause, and returns when nothing of it runs.
func (x *exchange) end(cause error) {
	x.fail(cause)
	x.conn.Interrupt()
	x.tasks.Wait()
	x.conn.Close()
}

// send sends a record.
func (x *exchange) send(kind handover.Kind, record handover.Record, fds ...int) error {
	return x.conn.Send(kind, handover.Encode(x.version, record), fds...)
}

// refusal returns what a frame of KindRefuse says.
func refusal(frame handover.Frame) error {
	r := new(handover.Refusal)
	if err := handover.Decode(handover.Oldest, frame.Payload, r); err != nil {
		return fmt.Errorf("%s: %w", frame.Kind, err)
	}
	return r
}
