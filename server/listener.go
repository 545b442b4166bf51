package server

import (
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/netpoll"
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
	// unsentBytes is how much of what was written the kernel may hold beyond what is
	// under way to the peer: enough to go on with until the loop hears that there is
	// room. A slow reader's unread events belong into the broker's log, once for all.
	unsentBytes = 16 << 10
)

// listen opens a listener of event streams.
func listen(addr string, options ...netpoll.Option) (fd int32, _ net.Addr, err error) {
	return netpoll.Listen(addr, append(options, netpoll.UserTimeout(userTimeout), netpoll.UnsentBytes(unsentBytes))...)
}

// openListener gives the loop a listener on the server's address. The first
// loop settles which port that is.
func (l *loop) openListener() error {
	s := l.server
	var fd int32
	var err error
	switch {
	case l.number == 0 && !netpoll.ListenerPerLoop:
		fd, s.addr, err = listen(s.cfg.Listen)
	case l.number == 0:
		fd, s.addr, err = listen(s.cfg.Listen, netpoll.SharedPort())
	case netpoll.ListenerPerLoop:
		fd, _, err = listen(s.addr.String(), netpoll.SharedPort())
	default:
		fd, err = netpoll.Duplicate(s.loops[0].listener)
	}
	if err != nil {
		return err
	}
	if l.table.claim(fd, l.number, slot{state: stateListener}) == nil {
		unix.Close(int(fd))
		return unix.EMFILE
	}
	l.listener = fd
	return l.poller.WatchEdge(fd)
}

// accept takes what waits in the accept queue, a slice of it. It returns true
// when there may be more. The listener reports new arrivals only, so a call
// that stops short of an empty queue needs another: by the return value, or by
// the listener's timer.
func (l *loop) accept() (more bool) {
	if !l.accepting || l.paused {
		return false
	}
	for range acceptsAtOnce {
		if l.full() && !l.makeRoom() {
			l.crowded = true
			l.pauseAccepting(limitPause, "as many clients are being answered as there are descriptors for", "limit", l.occupancy.room.sockets)
			return false
		}
		fd, from, err := netpoll.Accept(l.listener)
		if err == unix.EAGAIN {
			l.accepting = false
			return false
		}
		if err == nil {
			err = l.open(fd, from)
		}
		if err == nil {
			l.pauses.Accepted()
		} else if pause := l.pauses.After(err); pause > 0 {
			l.pauseAccepting(pause, "cannot accept a connection", "error", err)
			return false
		}
	}
	return true
}

// pauseAccepting leaves the accept queue alone until the listener's timer.
// Connections stay in it meanwhile, none is lost and none costs anything.
func (l *loop) pauseAccepting(pause time.Duration, why string, args ...any) {
	l.paused = true
	l.counters.acceptPauses.Add(1)
	l.wheel.Schedule(l.listener, l.now+pause)
	if l.mayNotice(why) {
		l.server.log(slog.LevelWarn, "accepting is paused: "+why, append(args, "loop", l.number, "connections", l.server.open.Load())...)
	}
}

// resumeAccepting is the listener's timer.
func (l *loop) resumeAccepting() {
	l.paused, l.crowded = false, false
	l.accepting = true
}

// open takes an accepted socket in, and gives it the time to send a request head.
func (l *loop) open(fd int32, from netpoll.Peer) error {
	c, err := l.adopt(fd)
	if err != nil {
		return err
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

// closeListener has the kernel refuse connections from now on.
func (l *loop) closeListener() {
	fd := l.listener
	l.wheel.Cancel(fd)
	l.table.at(streamID(fd)).release()
	unix.Close(int(fd))
	l.listener, l.accepting, l.crowded = -1, false, false
}
