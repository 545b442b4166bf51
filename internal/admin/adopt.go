package admin

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/internal/resp"
)

// coming is what has come of a predecessor so far.
type coming struct {
	admin, rest handover.Long
	audiences   map[string][]channels.Observer // by channel, until all connections are there
	late        map[int64]*conn                // of which bytes have yet to come
	before      handover.Admin                 // its counters, which are part of those here
}

// Adopt takes a frame of HandOver. With the last it returns true: then all that subscribe
// hear what is published, and Serve has the connections go on. Call it before Serve, when the
// broker has all that the predecessor's has, and before anybody can publish. An error means
// that the server is of no use.
func (s *Server) Adopt(version int, f handover.Frame) (complete bool, err error) {
	if complete, err := s.coming.admin.Add(f); err != nil || !complete {
		return false, err
	}
	var a handover.Admin
	fds, err := s.coming.admin.Take(version, &a)
	if err == nil && len(fds) != len(a.Connections) {
		err = fmt.Errorf("%d connections of the admin port with %d descriptors", len(a.Connections), len(fds))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release.stop()
	s.coming.late = make(map[int64]*conn)
	s.coming.audiences = make(map[string][]channels.Observer)
	for i, fd := range fds {
		nc, inherited := ports.InheritConn(fd)
		switch {
		case inherited != nil:
			err = inherited
		case err != nil:
			nc.Close()
		default:
			err = s.adoptLocked(nc, &a.Connections[i])
		}
	}
	if err != nil {
		return false, err
	}
	s.hearLocked()
	s.coming.before = a
	s.coming.before.Connections = nil
	s.started = time.Now().Add(-time.Duration(a.Age))
	s.accepted.Store(a.Accepted)
	s.rejected.Add(a.Rejected)
	s.displaced.Add(a.Displaced)
	s.commands.Add(a.Commands)
	s.dropped.Add(a.Dropped)
	s.ended.Add(a.Ended + a.Staying)
	s.guesses.Continue(a.WrongPasswords)
	return true, nil
}

// adoptLocked makes a parked connection of a record.
func (s *Server) adoptLocked(nc net.Conn, r *handover.AdminConnection) error {
	if err := ports.CheckCookie(nc, r.Cookie); err != nil {
		nc.Close()
		return err
	}
	c := newConn(s, nc, r.ID)
	c.wire.interrupt(true, true)
	c.parked, c.late = true, r.Late
	if err := c.restore(r); err != nil {
		nc.Close()
		return err
	}
	s.conns[c] = struct{}{}
	if c.late {
		s.coming.late[c.id] = c
		return nil
	}
	return c.take(&r.Waiting)
}

// restore gives the connection the state of the record, and has it hear its channels.
func (c *conn) restore(r *handover.AdminConnection) error {
	is := func(f handover.AdminFlags) bool { return r.Flags&f != 0 }
	if is(handover.AdminSecured) != c.secured {
		return fmt.Errorf("a connection of the admin port is in the clear: %v, want %v", is(handover.AdminSecured), c.secured)
	}
	now := time.Now()
	c.began = now.Add(-time.Duration(r.Age))
	c.used.Store(int64(now.Sub(c.server.began)) - r.Idle)
	c.opened, c.leaving = is(handover.AdminOpened), is(handover.AdminLeaving)
	c.version, c.authFailures = resp.Version(r.RESP), int(r.Failures)
	c.name, c.libName, c.libVersion = r.Name, r.Library, r.LibraryVersion
	if is(handover.AdminAuthenticated) {
		c.letIn()
	} else if !c.authenticated {
		c.nc.SetReadDeadline(now.Add(time.Duration(r.AuthLeft)))
	}
	c.transaction = transaction{open: is(handover.AdminTransaction), spoiled: is(handover.AdminSpoiled)}
	sub := &c.subscriptions
	if sub.ever = is(handover.AdminSubscribed); sub.ever {
		c.server.subscribers.Add(1)
	}
	sub.channels, sub.patterns, sub.shards = set(r.Channels), set(r.Globs), set(r.Shards)
	if sub.any() {
		c.needOutbox()
		c.hearLater(slices.Collect(maps.Keys(sub.channels)))
		c.hearLater(shards(slices.Collect(maps.Keys(sub.shards))))
		c.listenPatterns(r.Globs)
	}
	c.show()
	return nil
}

// hearLater has the connection hear channels when all are there.
func (c *conn) hearLater(names []string) {
	audiences := c.server.coming.audiences
	for _, name := range names {
		audiences[name] = append(audiences[name], c.outbox)
	}
}

// hearLocked has all connections hear their channels.
func (s *Server) hearLocked() {
	batch := make([]channels.Audience, 0, subscribeBatch)
	for name, observers := range s.coming.audiences {
		if batch = append(batch, channels.Audience{Channel: name, Observers: observers}); len(batch) == subscribeBatch {
			s.cfg.Broker.ObserveTogether(batch...)
			batch = batch[:0]
		}
	}
	s.cfg.Broker.ObserveTogether(batch...)
	s.coming.audiences = nil
}

// take gives the connection what waits at it.
func (c *conn) take(w *handover.AdminBytes) error {
	if len(w.Received) > 0 {
		c.received(w.Received)
	}
	if len(w.Unsent) > 0 {
		c.needOutbox()
		c.outbox.before(bytes.Clone(w.Unsent))
	}
	parser := resp.Parser{Limits: c.server.limits, Verbatim: verbatim}
	for queued := w.Queued; len(queued) > 0; {
		args, n, err := parser.Next(queued)
		if n == 0 || err != nil {
			return fmt.Errorf("a transaction at the admin port: %w in %.100q", err, queued)
		}
		queued = queued[n:]
		if cmd, known := lookUpWhole(args); known {
			c.transaction.add(cmd, args)
		} else { // an older program may lack it
			c.transaction.spoil()
			break
		}
	}
	c.show()
	return nil
}

// begin has the connections of a predecessor go on. Those that have not all come are closed.
func (s *Server) begin() {
	s.mu.Lock()
	s.coming.admin.Close()
	s.mu.Unlock()
	s.Resume()
}

// TakeRest takes a frame of HandRest. The connection that it is about goes on with the last of
// its frames.
func (s *Server) TakeRest(version int, f handover.Frame) error {
	if complete, err := s.coming.rest.Add(f); err != nil || !complete {
		return err
	}
	var r handover.AdminRest
	if _, err := s.coming.rest.Take(version, &r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.coming.late[r.ID]
	if c == nil {
		return nil // it has been ended meanwhile
	}
	delete(s.coming.late, r.ID)
	c.late = false
	err := c.take(&r.Waiting)
	if err == nil && !s.isReleasing() {
		s.goOnLocked(c)
	}
	return err
}

// LoseRest ends the connections for which TakeRest has not been called, and never will be. It
// returns how many there were.
func (s *Server) LoseRest() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.coming.late {
		delete(s.coming.late, id)
		c.late = false
		c.hangUp()
		if !s.isReleasing() {
			s.goOnLocked(c)
		}
		n++
	}
	s.ended.Add(int64(n))
	return n
}

// set returns the set of names, nil if there are none.
func set(names []string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
