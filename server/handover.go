package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/handover"
)

const (
	// acceptRest is how long a loop accepts nothing before it is handed over: requests and
	// handshakes that have begun are most often over by then.
	acceptRest = 250 * time.Millisecond
	// handTimeout bounds each step of a loop that is handed over.
	handTimeout = 5 * time.Second
)

// ErrHandOver is wrapped by the refusals of BeginHandOver.
var ErrHandOver = errors.New("the event loops cannot be handed over")

// handingOver is the part of a predecessor's state that all of its loops share.
type handingOver struct {
	underWay atomic.Bool
	version  int           // of the records
	patience time.Duration // for a loop that is to do a step
}

// Moved is what of a loop has been handed over.
type Moved struct {
	Loop                 int
	Connections, Streams int
	Closed               int    // connections that could not be handed over, and have been ended
	K                    uint64 // the sequence before the first message that the loop has not served
}

// LoopTime returns a time by CLOCK_MONOTONIC and the loop time at that: a successor's goes on
// from there. Safe for concurrent use.
func (s *Server) LoopTime() (monotonic, loop time.Duration) {
	loop = s.clock()
	return monotonicTime(), loop
}

// monotonicTime is CLOCK_MONOTONIC, which is the same in all processes.
func monotonicTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // there is no system without it
	}
	return time.Duration(t.Nano())
}

// BeginHandOver allows SendLoop, which writes records of a version. It is refused while the
// server drains or is being handed over.
func (s *Server) BeginHandOver(version int) error {
	if s.draining.Load() {
		return fmt.Errorf("%w: the server is draining", ErrHandOver)
	}
	if !s.handing.underWay.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: they are being handed over", ErrHandOver)
	}
	s.handing.version = version
	return nil
}

// QuietForHandOver returns when no loop has a fan-out under way, or when ctx is done.
func (s *Server) QuietForHandOver(ctx context.Context) {
	const pause = 5 * time.Millisecond
	for ctx.Err() == nil {
		busy, err := askAll(ctx, s, func(l *loop) bool { return len(l.turn.groups) > 0 || l.inbox.Len() > 0 })
		if err == nil && !slices.Contains(busy, true) {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// LoopOrder returns the numbers of the loops in the order in which they are to be handed
// over, the one with the fewest connections first.
func (s *Server) LoopOrder() []int {
	order := make([]int, len(s.loops))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(s.loops[a].counters.connections.Load(), s.loops[b].counters.connections.Load())
	})
	return order
}

// RestLoop has the i-th loop accept nothing, and returns at once: a loop that is to be sent soon
// has rested when its turn comes.
func (s *Server) RestLoop(i int) error {
	_, err := doOn(s.loops[i], (*loop).restListeners)
	return err
}

// SendLoop stops the i-th loop and sends all that is its own over a connection that leads to
// the same loop of the successor, and which it takes over. It waits until the loop has
// accepted nothing for 250 ms. With an error, too, the loop serves
// nobody from then on until TakeBack.
func (s *Server) SendLoop(i, fd int) (Moved, error) {
	l := s.loops[i]
	since, err := doOn(l, (*loop).restListeners)
	if err != nil {
		unix.Close(fd)
		return Moved{Loop: i}, err
	}
	time.Sleep(since + acceptRest - s.clock())
	fd, err = s.carry(l, fd)
	if err != nil {
		return Moved{Loop: i}, err
	}
	var taken atomic.Bool // the descriptor, by the loop or, when that is given up, here
	moved, err := doOn(l, func(l *loop) (Moved, error) {
		if taken.Swap(true) {
			return Moved{}, errNotHanded
		}
		return l.handOver(handover.NewConn(fd))
	})
	if !taken.Swap(true) {
		s.drop(l, fd)
	}
	moved.Loop = i
	return moved, err
}

// drop closes a descriptor of a loop's table, as soon as the loop turns.
func (s *Server) drop(l *loop, fd int) {
	if s.ferry == nil {
		unix.Close(fd)
		return
	}
	go tell(l, func(*loop) { unix.Close(fd) }) // or its table ends with it
}

// AwaitPrepared returns when the successor's i-th loop has all that SendLoop has sent.
func (s *Server) AwaitPrepared(i int) error { return step(s.loops[i], (*loop).awaitPrepared) }

// SendCommit makes the connections of the i-th loop the successor's, which is prepared.
func (s *Server) SendCommit(i int) error { return step(s.loops[i], (*loop).commit) }

// AwaitServing returns when the successor's i-th loop serves its connections: the pause is for
// how long nobody did.
func (s *Server) AwaitServing(i int) (pause time.Duration, err error) {
	return doOn(s.loops[i], (*loop).awaitServing)
}

// LetGo closes the descriptors of all connections and listeners that have been handed over or
// taken over: nothing is written to them and none is shut down, so that they live on where
// another process has them.
func (s *Server) LetGo() {
	for _, l := range s.loops {
		if err := tell(l, (*loop).letGo); err != nil {
			s.cfg.Logger.Error("cannot let go of an event loop's connections", "error", err)
		}
	}
}

// doOn has a loop call f, which may take as long as some steps of a handover, and returns what
// f does. A loop that does not answer in time is stuck, and does not call f any more.
func doOn[T any](l *loop, f func(*loop) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.server.handing.patience)
	defer cancel()
	did, ok := ask(ctx, l, func(l *loop) answer {
		value, err := f(l)
		return answer{value, err}
	})
	if !ok {
		did.err = &StuckError{[]int{int(l.number)}}
	}
	return did.value, did.err
}

// step is doOn for what returns nothing else.
func step(l *loop, f func(*loop) error) error {
	_, err := doOn(l, func(l *loop) (struct{}, error) { return struct{}{}, f(l) })
	return err
}

// tell has a loop call f, however long it takes the loop to get there: without that it would serve
// nobody, or hold its streams, for good. The wait is logged. An error says that the loop has ended.
func tell(l *loop, f func(*loop)) error {
	told := make(chan struct{})
	question := func() {
		f(l)
		close(told)
	}
	began, waits := time.Now(), time.NewTicker(l.server.handing.patience)
	defer waits.Stop()
	for mail := l.mail; ; {
		select {
		case mail <- question:
			mail = nil
			l.waker.Signal()
		case <-told:
			return nil
		case <-l.gone:
			select {
			case <-told:
				return nil
			default:
				return &StuckError{[]int{int(l.number)}}
			}
		case <-waits.C:
			l.server.log(slog.LevelWarn, "an event loop does not turn, and an upgrade waits for it", "loop", l.number, "for", time.Since(began))
		}
	}
}

// carry brings a descriptor of the process's table into that of a loop, and returns its number
// there. It is closed where it came from.
func (s *Server) carry(l *loop, fd int) (int, error) {
	if s.ferry == nil {
		return fd, nil
	}
	defer unix.Close(fd)
	var landed int
	err := s.ferry.Carry(fd, func(take func() (int, error)) (err error) {
		landed, err = doOn(l, func(*loop) (int, error) { return take() })
		return err
	})
	return landed, err
}

// errGone says that the successor has closed its end: it is dead, or has given up.
var errGone = errors.New("the successor has gone")

// errNotHanded says that a step is out of order.
var errNotHanded = fmt.Errorf("%w: the event loop has not been handed over", os.ErrInvalid)
