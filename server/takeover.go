package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/handover"
)

// Takeover makes a Server the successor of another process's: it opens no listeners, and each
// of its loops waits for a loop of that.
type Takeover struct {
	// Version is that of the predecessor's records.
	Version int
	// Monotonic and Loop are what LoopTime has told of the predecessor.
	Monotonic, Loop time.Duration
}

// began returns when the predecessor's loop time began.
func (t *Takeover) began() time.Time { return time.Now().Add(t.Monotonic - t.Loop - monotonicTime()) }

// Stage is how far a loop has taken over.
type Stage uint8

const (
	// Prepared says that everything is there, and that the predecessor decides.
	Prepared Stage = iota
	// Serving says that the connections are this process's.
	Serving
	// Failed says that the loop waits, untouched by what has come, for GoOn or Close.
	Failed
)

// Adoption tells how far a loop has taken over.
type Adoption struct {
	Loop                 int
	Stage                Stage
	Connections, Streams int
	Err                  error // of Failed
}

// takingOver is the part of a successor's state that all of its loops share.
type takingOver struct {
	adopted chan Adoption
	alone   atomic.Bool // set by GoOn

	mu     sync.Mutex
	holds  bool    // until Switched
	orders []order // that are postponed until then
}

// LoopEnds returns the predecessor's ends of connections to the loops of a successor, in
// their order. The caller sends and closes them, before Start.
func (s *Server) LoopEnds() (fds []int, err error) {
	for _, l := range s.loops {
		here, there, err := handover.Pair()
		if err == nil {
			fds = append(fds, there)
			here, err = s.carry(l, here)
		}
		if err == nil {
			err = tell(l, func(l *loop) { l.awaits = handover.NewConn(here) })
		}
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			return nil, fmt.Errorf("connect event loop %d with its predecessor: %w", l.number, err)
		}
	}
	return fds, nil
}

// Adopted receives how far the loops have taken over. It has room for all that they tell.
func (s *Server) Adopted() <-chan Adoption { return s.taking.adopted }

// GoOn has a successor serve although nobody says so, since its predecessor is dead: loops that
// are prepared serve what they have, the others begin with listeners of their own. To be called
// after the predecessor's end has been seen only, or two processes would write to one stream.
func (s *Server) GoOn() {
	s.taking.alone.Store(true)
	for _, l := range s.loops {
		l.waker.Signal()
	}
}

// Switched has a successor do what had to wait until the predecessor cannot take back any
// more: pings, ends of grants and lifetimes, kicks and gaps.
func (s *Server) Switched() {
	orders := s.taking.release()
	var telling sync.WaitGroup // all at once: each answers in its next wake
	for _, l := range s.loops {
		telling.Go(func() {
			if err := tell(l, (*loop).letAll); err != nil {
				s.cfg.Logger.Error("an event loop does not know that it may write", "error", err)
			}
		})
	}
	telling.Wait()
	if len(orders) > 0 {
		go s.carryOut(orders)
	}
}
