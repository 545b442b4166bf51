package server

import (
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/netpoll"
	"millrace/internal/ports"
)

const (
	// acceptsAtOnce bounds how many connections are taken between two looks at
	// the poller: each costs some twenty times what an expired timer does.
	acceptsAtOnce = 64
	// limitPause is how long accepting waits for room, unless a connection of the loop
	// gives some before.
	limitPause = 100 * time.Millisecond
	// userTimeout bounds how long written bytes may go unacknowledged before the
	// kernel gives the peer up. A silent stream's pings are such bytes.
	userTimeout = 30 * time.Second
	// unsentBytes is how many written bytes the kernel may hold beyond those under
	// way to the peer: enough to go on with until the loop hears that there is
	// room. A slow reader's unread events belong into the broker's log, once for all.
	unsentBytes = 16 << 10
)

// listener is one of a loop's: of connections in the clear, or of those with TLS.
type listener struct {
	descriptor int32
	secure     bool
	accepting  bool         // the accept queue may hold more
	paused     bool         // accepting waits for the listener's timer
	crowded    bool         // that pause is for want of room
	pauses     ports.Pauses // of failures to accept
}

// ListenError says that an address of Config, for plain HTTP or for TLS, cannot be listened on.
type ListenError struct {
	Addr string
	Err  error
}

func (e *ListenError) Error() string { return "listen on " + e.Addr + ": " + e.Err.Error() }

func (e *ListenError) Unwrap() error { return e.Err }

// listen opens a listener of event streams.
func listen(addr string, options ...netpoll.Option) (fd int32, _ net.Addr, err error) {
	return netpoll.Listen(addr, append(options, netpoll.UserTimeout(userTimeout), netpoll.UnsentBytes(unsentBytes))...)
}

// openListeners gives the loop its listeners: one on each address of the server.
func (l *loop) openListeners() error {
	s := l.server
	if s.cfg.Listen != "" {
		if err := l.openListener(s.cfg.Listen, &s.addr, false); err != nil {
			return err
		}
	}
	if s.cfg.TLSListen != "" {
		return l.openListener(s.cfg.TLSListen, &s.tlsAddr, true)
	}
	return nil
}

// bound is the address of a port, once it is known. Safe for concurrent use.
type bound struct{ addr atomic.Pointer[net.Addr] }

func (b *bound) note(addr net.Addr) { b.addr.Store(&addr) }

// get returns the address, nil if it is not known.
func (b *bound) get() net.Addr {
	if addr := b.addr.Load(); addr != nil {
		return *addr
	}
	return nil
}

// openListener opens one. The first loop settles which port that is, which at gets to know.
func (l *loop) openListener(addr string, at *bound, secure bool) error {
	var fd int32
	var err error
	var has net.Addr
	switch known := at.get(); {
	case known != nil && netpoll.ListenerPerLoop:
		fd, _, err = listen(known.String(), netpoll.SharedPort())
	case known == nil && netpoll.ListenerPerLoop:
		fd, has, err = listen(addr, netpoll.SharedPort())
	case known == nil:
		fd, has, err = listen(addr)
	default:
		fd, err = netpoll.Duplicate(l.server.loops[0].listeners[len(l.listeners)].descriptor)
	}
	if err != nil {
		return &ListenError{addr, err}
	}
	if has != nil {
		at.note(has)
	}
	if l.table.claim(fd, l.number, slot{stream: stream{state: stateListener}}) == nil {
		unix.Close(int(fd))
		return unix.EMFILE
	}
	l.listeners = append(l.listeners, &listener{descriptor: fd, secure: secure})
	return l.poller.WatchEdge(fd)
}

// listenerOf returns the listener that has a descriptor.
func (l *loop) listenerOf(fd int32) *listener {
	i := slices.IndexFunc(l.listeners, func(ln *listener) bool { return ln.descriptor == fd })
	return l.listeners[i]
}

// accept takes a slice of the connections in the accept queue. It returns true
// when there may be more. The listener reports new arrivals only, so a call
// that stops short of an empty queue needs another: by the return value, or by
// the listener's timer.
func (l *loop) accept(ln *listener) (more bool) {
	if !ln.accepting || ln.paused {
		return false
	}
	for range acceptsAtOnce {
		if l.full() && !l.makeRoom() {
			ln.crowded = true
			l.pauseAccepting(ln, limitPause, "as many clients are being answered as there are descriptors for", "limit", l.occupancy.room.sockets)
			return false
		}
		fd, from, err := netpoll.Accept(ln.descriptor)
		if err == unix.EAGAIN {
			ln.accepting = false
			return false
		}
		if err == nil {
			err = l.open(fd, from, ln.secure)
		}
		if err == nil {
			ln.pauses.Accepted()
		} else if pause := ln.pauses.After(err); pause > 0 {
			l.pauseAccepting(ln, pause, "cannot accept a connection", "error", err)
			return false
		}
	}
	return true
}

// pauseAccepting leaves the accept queue alone until the listener's timer.
// Connections stay in it meanwhile, none is lost and none costs anything.
func (l *loop) pauseAccepting(ln *listener, pause time.Duration, why string, args ...any) {
	ln.paused = true
	l.counters.acceptPauses.Add(1)
	l.wheel.Schedule(ln.descriptor, l.now+pause)
	if l.mayNotice(why) {
		l.server.log(slog.LevelWarn, "accepting is paused: "+why, append(args, "loop", l.number, "connections", l.server.open.Load())...)
	}
}

// resume is the listener's timer.
func (ln *listener) resume() {
	ln.paused, ln.crowded = false, false
	ln.accepting = true
}

// open takes an accepted socket in, and gives it the time to send a request head, with TLS
// the handshake before it included.
func (l *loop) open(fd int32, from netpoll.Peer, isSecure bool) error {
	c, err := l.adopt(fd)
	if err != nil {
		return err
	}
	if isSecure {
		c.state = stateHello
		c.flags.set(secure, true)
	}
	l.server.open.Add(1)
	l.occupancy.sockets.Add(1)
	l.counters.accepted.Add(1)
	l.counters.connections.Add(1)
	if l.welcome(c, from) != ended && l.cfg.HeaderTimeout > 0 {
		l.schedule(c, l.now+l.cfg.HeaderTimeout)
	}
	return nil
}

// closeListeners has the kernel refuse connections from now on.
func (l *loop) closeListeners() {
	for _, ln := range l.listeners {
		l.wheel.Cancel(ln.descriptor)
		l.table.at(streamID(ln.descriptor)).release()
		unix.Close(int(ln.descriptor))
	}
	l.listeners = nil
}
