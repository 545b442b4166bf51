package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// mailSize is how many questions may wait for one loop. Any more wait for
// room, so that they do not gather at a loop that hangs.
const mailSize = 16

// StuckError says that event loops did not answer in time.
type StuckError struct{ Loops []int }

func (e *StuckError) Error() string {
	if len(e.Loops) == 1 {
		return fmt.Sprintf("event loop %d does not turn", e.Loops[0])
	}
	return fmt.Sprintf("event loops %d do not turn", e.Loops)
}

// ask has a loop call f between two slices of its work, and returns the answer: so other
// goroutines learn the state of the loop. f must not wait for anything. If ctx is done
// before, it returns false, and f is called no more, or its answer is dropped. Safe for
// concurrent use.
func ask[T any](ctx context.Context, l *loop, f func(*loop) T) (answer T, ok bool) {
	answered := make(chan T, 1) // with room for an answer that comes too late
	question := func() {
		if ctx.Err() == nil {
			answered <- f(l)
		}
	}
	select {
	case l.mail <- question:
	case <-ctx.Done():
		return answer, false
	}
	l.waker.Signal()
	select {
	case answer = <-answered:
		return answer, true
	case <-ctx.Done():
		return answer, false
	}
}

// askAll asks every loop at once. It returns the answers of those that gave one
// before ctx was done, in the order of the loops, and a StuckError if others did
// not.
func askAll[T any](ctx context.Context, s *Server, f func(*loop) T) ([]T, error) {
	answers, ok := make([]T, len(s.loops)), make([]bool, len(s.loops))
	var asking sync.WaitGroup
	for i, l := range s.loops {
		asking.Go(func() { answers[i], ok[i] = ask(ctx, l, f) })
	}
	asking.Wait()
	stuck, given := new(StuckError), answers[:0]
	for i, answer := range answers {
		if ok[i] {
			given = append(given, answer)
		} else {
			stuck.Loops = append(stuck.Loops, i)
		}
	}
	if len(stuck.Loops) > 0 {
		return given, stuck
	}
	return given, nil
}

// readMail answers the questions that waited when it was called.
func (l *loop) readMail() {
	for range len(l.mail) {
		(<-l.mail)()
	}
}

// Probe goes through every loop, which shows that it turns. It returns a
// StuckError if one does not before ctx is done; a loop that is on its way from one process to
// another need not. Safe for concurrent use.
func (s *Server) Probe(ctx context.Context) error {
	_, err := askAll(ctx, s, func(*loop) struct{} { return struct{}{} })
	if stuck := (*StuckError)(nil); errors.As(err, &stuck) {
		stuck.Loops = slices.DeleteFunc(stuck.Loops, func(i int) bool { return s.loops[i].away.Load() })
		if len(stuck.Loops) == 0 {
			return nil
		}
	}
	return err
}
