package admin

import (
	"time"

	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/internal/resp"
)

// mostAtOnce is how many bytes may wait at a connection that goes to the successor as a whole.
// Publishers wait for that. What is more comes afterwards, and only this connection waits.
const mostAtOnce = 16 << 10

// HandOver sends the connections to the successor, which Adopt takes, in frames of
// handover.KindAdmin. Release has to have stopped them. Those with TLS are not among them,
// since crypto/tls gives the keys to nobody: Close ends them in order.
func (s *Server) HandOver(version int, send func(kind handover.Kind, payload []byte, fds ...int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, fds := s.recordLocked()
	return handover.SendLong(version, &a, handover.KindAdmin, fds, send)
}

// HandRest sends what waits at connections that are behind, in frames of
// handover.KindAdminRest, for TakeRest. Publishers may go on before. Call it after HandOver,
// also if there is nothing.
func (s *Server) HandRest(version int, send func(kind handover.Kind, payload []byte, fds ...int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, size := range s.release.behind {
		rest := handover.AdminRest{ID: c.id, Waiting: c.waiting()}
		rest.Waiting.Unsent = rest.Waiting.Unsent[:min(size, len(rest.Waiting.Unsent))] // more may be heard here, and is there, too
		if err := handover.SendLong(version, &rest, handover.KindAdminRest, nil, send); err != nil {
			return err
		}
	}
	return nil
}

// recordLocked returns the record of the port, and the descriptors of its connections.
func (s *Server) recordLocked() (a handover.Admin, fds []int) {
	a = handover.Admin{
		Age: int64(time.Since(s.started)), Accepted: s.accepted.Load(), Rejected: s.rejected.Load(), Displaced: s.displaced.Load(),
		Commands: s.commands.Load(), Dropped: s.dropped.Load(), WrongPasswords: s.guesses.Count(), Ended: s.ended.Load(),
	}
	s.release.behind = make(map[*conn]int)
	for _, c := range s.sortedLocked() {
		if !c.parked || c.secured && c.inTLS() {
			a.Staying++
			continue
		}
		fd, err := ports.Descriptor(c.wire.Conn)
		if err != nil {
			continue // it has ended
		}
		r := c.record()
		if r.Cookie, err = handover.Cookie(fd); err != nil {
			continue
		}
		unsent := 0
		if c.outbox != nil {
			unsent = c.outbox.stop()
		}
		if r.Late = c.to-c.from+c.transaction.size+unsent > mostAtOnce; r.Late {
			s.release.behind[c] = unsent
		} else {
			r.Waiting = c.waiting()
		}
		a.Connections = append(a.Connections, r)
		fds = append(fds, fd)
	}
	return a, fds
}

// waiting returns the bytes that wait at a connection. Called while it is parked, and writes
// are interrupted.
func (c *conn) waiting() (w handover.AdminBytes) {
	if c.outbox != nil {
		w.Unsent = c.outbox.bytes()
	}
	if !c.leaving {
		w.Received = c.buf[c.from:c.to]
	}
	for _, e := range c.transaction.entries {
		w.Queued = resp.AppendCommand(w.Queued, e.args...)
	}
	return w
}

// record returns the record of a connection, without what waits at it.
func (c *conn) record() handover.AdminConnection {
	r := handover.AdminConnection{
		ID: c.id, Age: int64(time.Since(c.began)), Idle: int64(c.idle()), RESP: uint8(c.version), Failures: uint8(c.authFailures),
		Name: c.name, Library: c.libName, LibraryVersion: c.libVersion,
		Channels: names(c.subscriptions.channels), Globs: names(c.subscriptions.patterns), Shards: names(c.subscriptions.shards),
	}
	if at := c.wire.deadline(); !c.authenticated && !at.IsZero() {
		r.AuthLeft = int64(max(0, time.Until(at)))
	}
	for _, f := range []struct {
		flag handover.AdminFlags
		is   bool
	}{
		{handover.AdminOpened, c.opened}, {handover.AdminAuthenticated, c.authenticated}, {handover.AdminSecured, c.secured},
		{handover.AdminLeaving, c.leaving}, {handover.AdminSubscribed, c.subscriptions.ever},
		{handover.AdminTransaction, c.transaction.open}, {handover.AdminSpoiled, c.transaction.spoiled},
	} {
		if f.is {
			r.Flags |= f.flag
		}
	}
	return r
}

// names returns the members of a set.
func names(set map[string]bool) (names []string) {
	for name := range set {
		names = append(names, name)
	}
	return names
}
