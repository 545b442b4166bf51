package bench

import (
	"errors"
	"fmt"
	"net"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// poller is the readiness of descriptors, and what it takes to open them. This
// file is all that knows gnet.
type poller struct{ p *netpoll.Poller }

func openPoller() (poller, error) {
	p, err := netpoll.OpenPoller()
	return poller{p}, err
}

// run calls on for every descriptor that became ready, until stop. One that
// hung up or failed counts as both: a read or a write tells.
func (p poller) run(on func(fd int32, readable, writable bool)) error {
	err := p.p.Polling(func(fd int, event netpoll.IOEvent, flags netpoll.IOFlags) error {
		failed := netpoll.IsErrorEvent(event, flags)
		on(int32(fd), failed || netpoll.IsReadEvent(event), failed || netpoll.IsWriteEvent(event))
		return nil
	})
	if errors.Is(err, errorx.ErrEngineShutdown) {
		return nil
	}
	return err
}

// do has task called by the goroutine in run. Safe for concurrent use, but not
// after close.
func (p poller) do(task func()) error {
	return p.p.Trigger(queue.HighPriority, func(any) error { task(); return nil }, nil)
}

// stop ends run. Safe for concurrent use, but not after close.
func (p poller) stop() error {
	return p.p.Trigger(queue.HighPriority, func(any) error { return errorx.ErrEngineShutdown }, nil)
}

// watch reports fd while it is readable.
func (p poller) watch(fd int32) error {
	return p.p.AddRead(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// watchBoth reports fd while it is readable or writable.
func (p poller) watchBoth(fd int32) error {
	return p.p.AddReadWrite(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// unwatchWrites makes watch of watchBoth.
func (p poller) unwatchWrites(fd int32) error {
	return p.p.ModRead(&netpoll.PollAttachment{FD: int(fd)}, false)
}

func (p poller) close() error { return p.p.Close() }

// listen opens a non-blocking listener, whose port others of this process may
// share.
func listen(addr string) (fd int32, _ net.Addr, err error) {
	n, _, err := socket.TCPSocket("tcp4", addr, true, []socket.Option[int]{
		{SetSockOpt: socket.SetReuseAddr, Opt: 1},
		{SetSockOpt: socket.SetReuseport, Opt: 1},
		{SetSockOpt: socket.SetNoDelay, Opt: 1},
	}, nil)
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

// accept takes the next connection from a listener, non-blocking.
func accept(listener int32) (fd int32, err error) {
	n, _, err := socket.Accept(int(listener))
	return int32(n), err
}

// connect begins to open a connection to addr from one of the host's loopback
// addresses, counted from 0; -1 leaves it to the system.
func connect(addr string, source int) (fd int32, err error) {
	var options []socket.Option[int]
	if source >= 0 {
		options = []socket.Option[int]{{SetSockOpt: bindLoopback, Opt: source}}
	}
	n, _, err := socket.TCPSocket("tcp4", addr, false, options, nil)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return 0, fmt.Errorf("connect to %s from loopback address %d: %w", addr, source, err)
	}
	return int32(n), nil
}
