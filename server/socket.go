package server

import (
	"golang.org/x/sys/unix"

	"millrace/internal/netpoll"
)

// The sockets of clients. This file alone knows their descriptors, and has the one place
// that writes to them: code between a stream and its socket goes here.

// result tells what a call did to a connection.
type result uint8

const (
	// ended says that the connection is closed, and its slot perhaps another loop's:
	// nothing may touch it any more.
	ended result = iota
	// cut says that the connection stands, and its socket is full: some of what was to
	// be written is left.
	cut
	// sent says that the connection stands, and that nothing is left of what the call
	// was to write, if anything was.
	sent
)

// fd returns the descriptor of a connection.
func (c *conn) fd() int32 { return int32(c.self) }

// adopt gives an accepted socket its slot, and has the poller report its events.
// With an error it has closed the socket.
func (l *loop) adopt(fd int32) (*conn, error) {
	c := l.table.claim(fd, l.number, slot{stream: stream{state: stateHead, opened: momentOf(l.now)}, lot: uint16(fd)})
	if c == nil {
		unix.Close(int(fd))
		return nil, unix.EMFILE
	}
	if err := l.poller.Watch(fd); err != nil {
		l.close(c)
		return nil, err
	}
	return c, nil
}

// read reads bytes of a client into l.buf, n of them. It ends a connection from
// which nothing will come any more.
func (l *loop) read(c *conn) (n int, _ result) {
	if c.flags.is(secure) && c.state >= stateHead {
		return l.readSecure(c)
	}
	return l.readSocket(c, l.buf[:readSize])
}

// readSocket is read of what the socket has, into p.
func (l *loop) readSocket(c *conn, p []byte) (n int, _ result) {
	n, open := c.receive(p)
	switch {
	case open:
		return n, sent
	case c.state == stateLinger:
		l.end(c, c.why)
	default:
		l.end(c, reasonClient)
	}
	return 0, ended
}

// write writes p to a client, and returns how much of it was taken. It is cut when the
// socket took less, or with TLS when it took only a part of a record.
func (l *loop) write(c *conn, p []byte) (n int, _ result) {
	if c.flags.is(secure) {
		return l.writeSecure(c, p)
	}
	return l.writeSocket(c, p)
}

// receive reads what the socket has. It returns false when nothing will come any more.
func (c *conn) receive(p []byte) (n int, open bool) {
	n, err := unix.Read(int(c.fd()), p)
	return max(n, 0), n > 0 || err == unix.EAGAIN || err == unix.EINTR
}

// sendLast writes p before the connection is ended; what the socket does not take is lost.
func (c *conn) sendLast(p []byte) { unix.Write(int(c.fd()), p) }

// writeSocket writes p, once, and returns how much of it the socket took.
func (l *loop) writeSocket(c *conn, p []byte) (n int, _ result) {
	n, err := unix.Write(int(c.fd()), p)
	for err == unix.EINTR {
		n, err = unix.Write(int(c.fd()), p)
	}
	switch {
	case err == nil, err == unix.EAGAIN:
	case l.serving == c: // settle ends it, when nothing refers to its streams
		l.failed = reasonWrite
		return len(p), sent
	default:
		l.end(c, reasonWrite)
		return 0, ended
	}
	n = max(n, 0)
	if c.flags.is(behind) {
		l.readers.m[c.id()].pace.take(n, l.now)
	}
	c.wrote = momentOf(l.now)
	l.counters.bytes.Add(uint64(n))
	if n < len(p) {
		return n, cut
	}
	return n, sent
}

// watchWrites has loop.on called when the socket takes more.
func (l *loop) watchWrites(c *conn) error { return l.poller.WatchWrites(c.fd()) }

// unwatchWrites takes watchWrites back.
func (l *loop) unwatchWrites(c *conn) error { return l.poller.UnwatchWrites(c.fd()) }

// unwatch has loop.on called no more for what comes from the socket.
func (l *loop) unwatch(c *conn) error { return l.poller.Unwatch(c.fd()) }

// watch takes unwatch back.
func (l *loop) watch(c *conn) error { return l.poller.Watch(c.fd()) }

// acknowledged returns how many bytes the client has ever taken, as far as the kernel
// knows.
func (c *conn) acknowledged() int { return netpoll.Acknowledged(c.fd()) }

// progress returns a number that grows by what is written to a connection and, while its request
// is awaited, by what is read of it, whichever processes do so. It returns false unless the
// connection is open in both directions.
func (c *conn) progress() (n uint64, open bool) {
	n, open = netpoll.Written(c.fd())
	if open && (c.state == stateProxy || c.state == stateHello || c.state == stateHead) {
		var read uint64
		read, open = netpoll.Read(c.fd())
		n += read
	}
	return n, open
}

// peer returns the address of the socket's other end, zero if it is reset.
func (c *conn) peer() netpoll.Peer { return netpoll.PeerOf(c.fd()) }

// shut tells the client that nothing more will be written. Its bytes are still read.
func (l *loop) shut(c *conn) error { return unix.Shutdown(int(c.fd()), unix.SHUT_WR) }

// close gives the slot up, and then closes the socket. Nothing may touch c afterwards. One that
// was taken over is shut down before, since the predecessor may still have it open.
func (l *loop) close(c *conn) {
	fd := int(c.fd())
	if c.flags.is(moved) {
		unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	c.release()
	unix.Close(fd)
}

// passenger returns the descriptor for a handover.
func (c *conn) passenger() int { return int(c.fd()) }

// letGo gives the slot up, and closes the descriptor of a socket that lives on in another
// process. Nothing may touch c afterwards.
func (c *conn) letGo() {
	fd := int(c.fd())
	c.release()
	unix.Close(fd)
}

// claimMoved gives the socket of a connection that has been taken over its slot.
func (l *loop) claimMoved(fd int32, s slot) (*conn, error) {
	c := l.table.claim(fd, l.number, s)
	if c == nil {
		return nil, unix.EMFILE
	}
	if s.flags.is(behind) {
		return c, l.poller.WatchBoth(fd)
	}
	return c, l.poller.Watch(fd)
}
