// Package netpoll has the parts of the operating system that an event loop uses: a [Poller] of
// descriptors (epoll or kqueue), the listeners and sockets that it polls, and a [Waker]
// that makes it return. It is all that knows gnet, and of gnet it has the poller and the
// socket options only.
//
// Descriptors are plain numbers, which the caller closes. Errors come from the operating
// system.
package netpoll

import (
	"errors"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// Poller is the readiness of descriptors. It belongs to the goroutine in Run, but for Do
// and Stop.
type Poller struct{ p *netpoll.Poller }

// OpenPoller opens a poller, which Close closes.
func OpenPoller() (Poller, error) {
	p, err := netpoll.OpenPoller()
	return Poller{p}, err
}

// Run calls on for every descriptor that became ready, until on returns true. A
// descriptor that hung up or failed counts as readable: a read tells.
func (p Poller) Run(on func(fd int32, readable, writable bool) (stop bool)) error {
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

// Do has the goroutine in Run call task. Safe for concurrent use, but not after Close.
func (p Poller) Do(task func()) error {
	return p.p.Trigger(queue.HighPriority, func(any) error { task(); return nil }, nil)
}

// Stop ends Run. Safe for concurrent use, but not after Close.
func (p Poller) Stop() error {
	return p.p.Trigger(queue.HighPriority, func(any) error { return errorx.ErrEngineShutdown }, nil)
}

// Watch reports fd while it is readable.
func (p Poller) Watch(fd int32) error {
	return p.p.AddRead(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// WatchEdge reports fd when it becomes readable, once for each new arrival. So
// a listener that cannot accept is silent until somebody else connects, without
// a system call to take it out and to put it back.
func (p Poller) WatchEdge(fd int32) error {
	return p.p.AddRead(&netpoll.PollAttachment{FD: int(fd)}, true)
}

// WatchBoth reports fd while it is readable or writable: one that is being connected, say.
func (p Poller) WatchBoth(fd int32) error {
	return p.p.AddReadWrite(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// WatchWrites reports fd, which is watched, also while it is writable.
func (p Poller) WatchWrites(fd int32) error {
	return p.p.ModReadWrite(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// UnwatchWrites takes WatchWrites back, and makes Watch of WatchBoth.
func (p Poller) UnwatchWrites(fd int32) error {
	return p.p.ModRead(&netpoll.PollAttachment{FD: int(fd)}, false)
}

// Unwatch reports fd no more.
func (p Poller) Unwatch(fd int32) error { return p.p.Delete(int(fd)) }

// Close closes the poller, and none of the descriptors that it watches.
func (p Poller) Close() error { return p.p.Close() }
