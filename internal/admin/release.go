package admin

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// release is the state of a server whose connections are to go on in another process. Its
// methods and fields are guarded by Server.mu, unless it is said otherwise.
type release struct {
	on      atomic.Bool     // connections stop at the end of a request. Read without mu, too
	talkers int             // goroutines that accept, or answer requests
	quiet   chan struct{}   // closed when there are none; nil while nobody waits for that
	life    context.Context // done when the server is released or stopped
	halt    context.CancelFunc
	over    chan struct{} // closed when on is no longer so
	behind  map[*conn]int // where too much waits to be handed over while publishers wait, with the bytes unsent
}

// begin has connections answer requests.
func (r *release) begin() {
	r.on.Store(false)
	r.life, r.halt = context.WithCancel(context.Background())
}

// stop has them stop.
func (r *release) stop() {
	r.on.Store(true)
	r.over = make(chan struct{})
	r.halt()
}

// end has those that wait for a new beginning go on.
func (r *release) end() {
	if r.on.Swap(false) {
		close(r.over)
	}
	r.quiet = nil
}

// isReleasing tells whether connections are to stop at the end of a request.
func (s *Server) isReleasing() bool { return s.release.on.Load() }

// lifetime is done when the server is released or stopped. What waits for something else
// within a request ends with it.
func (s *Server) lifetime() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.release.life
}

// Release has all connections stop at the end of a request, with their replies flushed, and
// accepts no others, until Resume or Close is called. Then all is quiet, and HandOver may be
// called. The broker has to be frozen (channels.ErrFrozen) before: an event that waits for
// room is then given back, and its request is done later. If ctx is done before all is quiet,
// all go on, and the error says so.
func (s *Server) Release(ctx context.Context) error {
	s.mu.Lock()
	quiet := make(chan struct{})
	s.release.stop()
	s.release.quiet = quiet
	s.ln.SetDeadline(past)
	for c := range s.conns {
		if c.talking {
			c.wire.interrupt(true, !c.inTLS()) // which has to write whole records
		}
	}
	s.tellQuietLocked()
	s.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		n := s.Resume()
		return fmt.Errorf("%d clients of the admin port are in the middle of a request: %w", n, context.Cause(ctx))
	}
}

// Resume has all go on that Release has stopped, as if nothing had happened. It returns how
// many had not stopped yet.
func (s *Server) Resume() (talkers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	talkers = s.release.talkers
	if !s.isReleasing() {
		return talkers
	}
	s.release.end()
	s.release.begin()
	s.ln.SetDeadline(time.Time{})
	for c := range s.conns {
		if !c.late {
			s.goOnLocked(c)
		}
	}
	return talkers
}

// goOnLocked has a connection go on that has stopped, or is about to.
func (s *Server) goOnLocked(c *conn) {
	c.wire.interrupt(false, false)
	if c.parked {
		s.startLocked(c)
	}
}

// endLocked ends the connections. Those that Release has stopped are another process's now,
// and are let go without a word; but with TLS they end here, in order.
func (s *Server) endLocked() {
	s.release.end()
	s.release.halt()
	for c := range s.conns {
		if c.parked && c.secured && c.inTLS() {
			c.leaving = true
			c.wire.SetWriteDeadline(time.Now().Add(lingerTimeout))
		} else {
			c.hangUp()
		}
		s.goOnLocked(c)
	}
}

// startLocked has a connection served by a goroutine of its own.
func (s *Server) startLocked(c *conn) {
	if c.parked = false; c.secured { // else it enters after the handshake
		c.talking = true
		s.release.talkers++
	}
	s.running.Go(func() { s.talk(c) })
}

// talk serves a connection until it ends, or is parked.
func (s *Server) talk(c *conn) {
	if !c.secured {
		if !c.secure() {
			linger(c.wire)
			c.nc.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, c)
			return
		}
		if !s.enter(c) {
			return
		}
	}
	for s.leave(c, c.serve() == errInterrupted) {
		select { // the broker is frozen, as it is for a moment before and after
		case <-s.lifetime().Done():
		case <-time.After(frozenPause):
		}
	}
}

// frozenPause is how long a connection waits before it publishes again an event that the
// broker did not take since it is frozen.
const frozenPause = time.Millisecond

// enter notes that a goroutine answers requests, and returns true, unless connections are to
// stop: then this one is parked, and its goroutine has to end.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.parked = s.isReleasing(); c.parked {
		return false
	}
	c.talking = true
	s.release.talkers++
	return true
}

// leave is the end of what enter has noted: the connection is parked if it is to be served
// again, and else has ended. If it is to be served again and connections are not to stop, leave
// does nothing and returns true.
func (s *Server) leave(c *conn, again bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if again && !s.isReleasing() {
		return true
	}
	if c.parked = again; !again {
		delete(s.conns, c)
	}
	c.talking = false
	s.release.talkers--
	s.tellQuietLocked()
	return false
}

// enterAccept and leaveAccept are the same for the goroutine that accepts, which waits while
// it may not, and returns false when the server is stopped.
func (s *Server) enterAccept() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.isReleasing() {
		over := s.release.over
		s.mu.Unlock()
		<-over
		s.mu.Lock()
	}
	if s.isStopped() {
		return false
	}
	s.release.talkers++
	return true
}

func (s *Server) leaveAccept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release.talkers--
	s.tellQuietLocked()
}

func (s *Server) tellQuietLocked() {
	if r := &s.release; r.quiet != nil && r.talkers == 0 {
		close(r.quiet)
		r.quiet = nil
	}
}
