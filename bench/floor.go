package bench

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"millrace/internal/handshake"
	"millrace/internal/netpoll"
)

// floorHead answers every request, as a server of event streams would.
const floorHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n:\n\n"

// Floor is a server that does only the work that no server of event streams can
// leave out: it accepts, waits for the blank line of the request, and writes
// each event to every socket with one system call. With TLS it makes handshakes and
// seals each event for each socket, too. It has no timers, no
// history and no channels, and believes what clients send. The methods are
// safe for concurrent use.
type Floor struct {
	loops   []*floorLoop
	makes   *handshake.Server // nil in the clear
	addr    net.Addr
	running sync.WaitGroup
	mu      sync.Mutex // guards the pollers against use after close
	closed  bool
}

// floorLoop is an event loop of a Floor.
type floorLoop struct {
	poller   netpoll.Poller
	listener int32
	addr     net.Addr    // of the listener
	table    []floorConn // by descriptor
	secure   *secure     // nil in the clear
	fds      []int32     // of the sockets that have been answered
	buf      []byte
	streams  atomic.Int64 // len(fds)
	failed   atomic.Int64 // writes that did not take all
}

type floorConn struct {
	place   int32 // in floorLoop.fds; -1 before the answer
	matched uint8 // of the blank line, in bytes
}

// NewFloor listens on a free port of 127.0.0.1 with as many loops, each with a
// descriptor table of its own if asked, and with TLS if there is a certificate.
func NewFloor(loops int, ownTables bool, certificate *Certificate) (*Floor, error) {
	f := &Floor{}
	if certificate != nil {
		var err error
		if f.makes, err = certificate.handshakes(); err != nil {
			return nil, err
		}
	}
	for range loops { // every poller before the first table is copied, as in Streams
		p, err := netpoll.OpenPoller()
		if err != nil {
			f.Close()
			return nil, err
		}
		l := &floorLoop{poller: p, buf: make([]byte, readSize)}
		if f.makes != nil {
			l.secure = newSecure(p, f.makes.Start)
			l.secure.over = l.shaken
		}
		f.loops = append(f.loops, l)
	}
	addr := "127.0.0.1:0"
	for _, l := range f.loops {
		opened := make(chan error, 1)
		err := spawn(&f.running, ownTables, func() { l.run(addr, opened) })
		if err == nil {
			err = <-opened
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
		f.addr = l.addr
		addr = f.addr.String()
	}
	return f, nil
}

// Addr is the address that the floor listens on.
func (f *Floor) Addr() net.Addr { return f.addr }

// Streams returns how many streams are open, and how many writes have failed.
func (f *Floor) Streams() (open, failed int64) {
	for _, l := range f.loops {
		open += l.streams.Load()
		failed += l.failed.Load()
	}
	return open, failed
}

// Broadcast begins to write wire to every stream. It must not be changed
// afterwards.
func (f *Floor) Broadcast(wire []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	for _, l := range f.loops {
		if err := l.poller.Do(func() { l.broadcast(wire) }); err != nil {
			return err
		}
	}
	return nil
}

// Close closes everything.
func (f *Floor) Close() {
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return
	}
	for _, l := range f.loops {
		l.poller.Stop()
	}
	f.running.Wait()
	if f.makes != nil {
		f.makes.Wait() // a handshake that ends wakes its loop
	}
	for _, l := range f.loops {
		l.poller.Close()
	}
}

// run serves from the moment that it tells opened until the poller is told to
// stop, and closes everything.
func (l *floorLoop) run(addr string, opened chan<- error) {
	var err error
	if l.listener, l.addr, err = netpoll.Listen(addr, netpoll.SharedPort()); err != nil {
		opened <- err
		return
	}
	defer unix.Close(int(l.listener))
	err = l.poller.Watch(l.listener)
	opened <- err
	if err != nil {
		return
	}
	if err := l.poller.Run(l.on); err != nil {
		panic(err) // the poller was misused
	}
	for _, fd := range l.fds {
		unix.Close(int(fd))
	}
	if l.secure != nil {
		l.secure.close()
	}
}

func (l *floorLoop) broadcast(wire []byte) {
	for _, fd := range l.fds {
		l.write(fd, wire)
	}
}

func (l *floorLoop) write(fd int32, p []byte) {
	var err error
	if l.secure == nil {
		err = writeWhole(fd, p)
	} else {
		err = l.secure.write(fd, p)
	}
	if err != nil {
		l.failed.Add(1)
	}
}

func (l *floorLoop) on(fd int32, _, _ bool) (stop bool) {
	l.serve(fd)
	return false
}

func (l *floorLoop) serve(fd int32) {
	if fd == l.listener {
		l.accept()
		return
	}
	n, err := unix.Read(int(fd), l.buf)
	if err == unix.EAGAIN {
		return
	}
	if n <= 0 {
		l.end(fd)
		return
	}
	p := l.buf[:n]
	if l.secure != nil {
		if p, err = l.secure.take(fd, p); err != nil {
			l.end(fd)
			return
		}
	}
	l.take(fd, p)
}

// shaken goes on with a connection whose handshake is over.
func (l *floorLoop) shaken(fd int32, _ string, plain []byte, err error) {
	if err != nil {
		l.end(fd)
		return
	}
	l.take(fd, plain)
}

// take takes in a piece of a request, in plain text.
func (l *floorLoop) take(fd int32, p []byte) {
	c := &l.table[fd]
	if c.place >= 0 {
		return
	}
	const blank = "\r\n\r\n"
	for _, b := range p {
		switch b {
		case blank[c.matched]:
			c.matched++
		case '\r':
			c.matched = 1
		default:
			c.matched = 0
		}
		if int(c.matched) == len(blank) {
			l.answer(fd, c)
			return
		}
	}
}

func (l *floorLoop) accept() {
	for {
		fd, _, err := netpoll.Accept(l.listener)
		if err != nil {
			return // no more, most likely; whatever it is, the poller comes back
		}
		if missing := int(fd) + 1 - len(l.table); missing > 0 {
			l.table = append(l.table, make([]floorConn, missing)...)
		}
		l.table[fd] = floorConn{place: -1}
		if l.poller.Watch(fd) != nil {
			unix.Close(int(fd))
			continue
		}
		if l.secure != nil {
			l.secure.begin(fd)
		}
	}
}

func (l *floorLoop) answer(fd int32, c *floorConn) {
	c.place = int32(len(l.fds))
	l.fds = append(l.fds, fd)
	l.streams.Add(1) // before the client can know
	l.write(fd, []byte(floorHead))
}

// end closes a connection; the last of the list takes its place.
func (l *floorLoop) end(fd int32) {
	if place := l.table[fd].place; place >= 0 {
		last := l.fds[len(l.fds)-1]
		l.fds[place] = last
		l.table[last].place = place
		l.fds = l.fds[:len(l.fds)-1]
		l.streams.Add(-1)
	}
	if l.secure != nil {
		l.secure.forget(fd)
	}
	unix.Close(int(fd))
}
