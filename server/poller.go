package server

import (
	"errors"
	"net"
	"time"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// poller is the readiness of descriptors. This file, with its platform parts,
// is all that knows gnet.
type poller struct{ p *netpoll.Poller }

func openPoller() (poller, error) {
	p, err := netpoll.OpenPoller()
	return poller{p}, err
}

// run calls on for every descriptor that became ready, until on returns true.
// A descriptor that hung up or failed counts as readable: a read tells.
func (p poller) run(on func(fd int32, readable, writable bool) (stop bool)) error {
	err := p.p.Polling(func(fd int, event netpoll.IOEvent, flags netpoll.IOFlags) error {
		readable := netpoll.IsReadEvent(event) || netpoll.IsErrorEvent(event, flags)
		if on(int32(fd), readable, netpoll.IsWriteEvent(event)) {
			return errorx.ErrEngineShutdown
		}
		return nil
	})
	if errors.Is(err, errorx.ErrEngineShutdown) {
		return nil
	}
	return err
}

// watch reports fd while it is readable.
func (p poller) watch(fd int32) error {
	return p.p.AddRead(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// watchEdge reports fd when it becomes readable, once for each new arrival. So
// a listener that cannot accept is silent until somebody else connects, without
// a system call to take it out and to put it back.
func (p poller) watchEdge(fd int32) error {
	return p.p.AddRead(&netpoll.PollAttachment{FD: int(fd)}, true)
}

// watchWrites reports fd also while it is writable.
func (p poller) watchWrites(fd int32) error {
	return p.p.ModReadWrite(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// unwatchWrites takes watchWrites back.
func (p poller) unwatchWrites(fd int32) error {
	return p.p.ModRead(&netpoll.PollAttachment{FD: int(fd)}, false)
}

func (p poller) close() error { return p.p.Close() }

// userTimeout bounds how long written bytes may go unacknowledged before the
// kernel gives the peer up (RFC 5482). A silent stream's pings are such bytes.
const userTimeout = 30 * time.Second

// unsentBytes is how much of what was written the kernel may hold beyond what is
// under way to the peer: enough to go on with until the loop hears that there is
// room. A slow reader's unread events belong into the broker's log, once for all.
const unsentBytes = 16 << 10

// listen opens a non-blocking listener. What is set on it, the sockets that it
// accepts inherit, so that no connection costs a setsockopt.
func listen(addr string, reusePort bool) (fd int32, _ net.Addr, err error) {
	options := []socket.Option[int]{
		{SetSockOpt: socket.SetReuseAddr, Opt: 1},
		{SetSockOpt: socket.SetNoDelay, Opt: 1},
		{SetSockOpt: setUserTimeout, Opt: int(userTimeout.Milliseconds())},
		{SetSockOpt: setUnsentBytes, Opt: unsentBytes},
	}
	if reusePort {
		options = append(options, socket.Option[int]{SetSockOpt: socket.SetReuseport, Opt: 1})
	}
	n, _, err := socket.TCPSocket("tcp", addr, true, options, nil)
	if errors.Is(err, unix.EAFNOSUPPORT) { // a host without IPv6, and no host named
		n, _, err = socket.TCPSocket("tcp4", addr, true, options, nil)
	}
	if err != nil {
		return 0, nil, err
	}
	sa, err := unix.Getsockname(n)
	if err != nil {
		unix.Close(n)
		return 0, nil, err
	}
	return int32(n), socket.SockaddrToTCPOrUnixAddr(sa), nil
}

// duplicate returns another descriptor of the same listener.
func duplicate(listener int32) (int32, error) {
	n, err := socket.Dup(int(listener))
	return int32(n), err
}
