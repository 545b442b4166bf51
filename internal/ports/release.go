package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"millrace/internal/handover"
)

// release is the state of Places that are to go on in another process. Guarded by
// Places.mu.
type release struct {
	released  chan struct{} // nil unless they are; closed by Resume
	quiet     chan struct{} // closed when nothing is under way; nil while nobody waits for that
	accepting bool          // a new connection may have no place yet
	waiting   []*place      // that Accept returns next
	coming    handover.Long // of a predecessor
}

// accepted is the end of what accept has begun.
func (p *Places) accepted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepting = false
	p.tellQuiet()
}

// accept returns a new connection, or one that waits to be served. accepted has to be called
// when the new one has a place.
func (p *Places) accept() (conn net.Conn, waiting *place, err error) {
	for {
		p.mu.Lock()
		switch released := p.released; {
		case released != nil:
			p.mu.Unlock()
			if !p.await(released) {
				return nil, nil, net.ErrClosed
			}
			continue
		case len(p.waiting) > 0:
			waiting = p.waiting[0]
			p.waiting = p.waiting[1:]
			p.mu.Unlock()
			return nil, waiting, nil
		}
		p.accepting = true
		p.mu.Unlock()
		conn, err = p.Listener.Accept()
		if conn != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, nil, err
		}
		p.accepted()
	}
}

// Release has connections stop between two requests, and returns when all have, or ctx is
// done. Then nothing is read and none accepted, until Resume or Close is called.
func (p *Places) Release(ctx context.Context) (busy int) {
	quiet := make(chan struct{})
	p.mu.Lock()
	p.quiet = quiet
	if p.released == nil {
		p.released = make(chan struct{})
		p.interrupt(true)
	}
	p.tellQuiet()
	p.mu.Unlock()
	select {
	case <-quiet:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = nil
	return p.underWay()
}

// interrupt has reading between requests and accepting end, or go on as before. Called
// with mu held.
func (p *Places) interrupt(end bool) {
	if ln, ok := p.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		ln.SetDeadline(deadline(end, time.Time{}))
	}
	for c := range p.places {
		if q := &c.request; q.between || q.interrupt {
			q.interrupt = end
			c.Conn.SetReadDeadline(deadline(end, q.until))
		}
	}
}

// deadline returns one that is over, or t.
func deadline(over bool, t time.Time) time.Time {
	if over {
		return time.Unix(1, 0)
	}
	return t
}

// underWay returns how many connections have not stopped. Called with mu held.
func (p *Places) underWay() (n int) {
	if p.accepting {
		n++
	}
	for c := range p.places {
		if !c.request.stopped {
			n++
		}
	}
	return n
}

// Busy returns how many requests are being answered.
func (p *Places) Busy() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.places {
		if !c.request.between {
			n++
		}
	}
	return n
}

// tellQuiet tells Release if nothing is under way any more. Called with mu held.
func (p *Places) tellQuiet() {
	if p.quiet != nil && p.underWay() == 0 {
		close(p.quiet)
		p.quiet = nil
	}
}

// Resume has all go on that Release has stopped, as if nothing had happened.
func (p *Places) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released != nil {
		p.interrupt(false)
		close(p.released)
		p.released = nil
	}
}

// HandOver sends the connections to the successor, which Adopt takes. Release has to have
// stopped them. Those with TLS, and those that are in the middle of a request, stay: Close
// ends them.
func (p *Places) HandOver(version int, send func(kind handover.Kind, payload []byte, fds ...int) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var o handover.Ops
	var fds []int
	for c := range p.places {
		q := &c.request
		if !q.stopped || q.unknown {
			continue
		}
		fd, err := Descriptor(c.Conn)
		if err != nil {
			continue // it has ended
		}
		cookie, err := handover.Cookie(fd)
		if err != nil {
			continue
		}
		o.Connections = append(o.Connections, handover.OpsConnection{Cookie: cookie, Received: q.received})
		fds = append(fds, fd)
	}
	return handover.SendLong(version, &o, handover.KindOps, fds, send)
}

// Adopt takes a frame of HandOver. With the last it returns true: Accept returns the
// connections first. An error means that the port is of no use.
func (p *Places) Adopt(version int, f handover.Frame) (complete bool, err error) {
	if complete, err := p.coming.Add(f); err != nil || !complete {
		return false, err
	}
	var o handover.Ops
	fds, err := p.coming.Take(version, &o)
	if err == nil && len(fds) != len(o.Connections) {
		err = fmt.Errorf("%d connections of the %s port with %d descriptors", len(o.Connections), p.name, len(fds))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, fd := range fds {
		nc, inherited := InheritConn(fd)
		switch {
		case inherited != nil:
			err = inherited
			continue
		case err == nil:
			err = CheckCookie(nc, o.Connections[i].Cookie)
		}
		if err != nil {
			nc.Close()
			continue
		}
		c := p.newPlace(nc, time.Since(p.began))
		c.request.received = o.Connections[i].Received
		c.request.unread = c.request.received
		p.waiting = append(p.waiting, p.put(c))
	}
	return err == nil, err
}

// Begin is the end of what Adopt can take: connections that have not all come are closed.
func (p *Places) Begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming.Close()
}

// Descriptor is that of the listener.
func (p *Places) Descriptor() (fd int, err error) {
	if ln, ok := p.Listener.(interface{ Descriptor() (int, error) }); ok {
		return ln.Descriptor()
	}
	return Descriptor(p.Listener)
}

// dropWaiting closes the connections that Accept has not returned.
func (p *Places) dropWaiting() {
	p.mu.Lock()
	p.coming.Close()
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, c := range waiting {
		c.Close()
	}
}
