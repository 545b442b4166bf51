package netpoll

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// Option is something that is set on a listener. The sockets that it accepts inherit it,
// so that no connection costs a setsockopt.
type Option socket.Option[int]

// UserTimeout bounds how long written bytes may go unacknowledged before the kernel gives
// the peer up (RFC 5482). Where the platform has no such thing, the kernel's own limit of
// retransmissions is the bound.
func UserTimeout(d time.Duration) Option {
	return Option{SetSockOpt: setUserTimeout, Opt: int(d.Milliseconds())}
}

// UnsentBytes bounds what the kernel takes beyond what is under way to the peer, in bytes.
// Where the platform has no such thing, the send buffer is the bound.
func UnsentBytes(n int) Option { return Option{SetSockOpt: setUnsentBytes, Opt: n} }

// SharedPort has several listeners on one address. See ListenerPerLoop for what that gives.
func SharedPort() Option { return Option{SetSockOpt: socket.SetReuseport, Opt: 1} }

// Listen opens a non-blocking listener, and returns the address that it has: port 0 picks
// a free one.
func Listen(addr string, options ...Option) (fd int32, _ net.Addr, err error) {
	set := []socket.Option[int]{
		{SetSockOpt: socket.SetReuseAddr, Opt: 1},
		{SetSockOpt: socket.SetNoDelay, Opt: 1},
	}
	for _, o := range options {
		set = append(set, socket.Option[int](o))
	}
	n, _, err := socket.TCPSocket("tcp", addr, true, set, nil)
	if errors.Is(err, unix.EAFNOSUPPORT) { // a host without IPv6, and no host named
		n, _, err = socket.TCPSocket("tcp4", addr, true, set, nil)
	}
	if err != nil {
		return 0, nil, err
	}
	has, err := AddressOf(int32(n))
	if err != nil {
		unix.Close(n)
		return 0, nil, err
	}
	return int32(n), has, nil
}

// AddressOf returns the address that a listener has.
func AddressOf(listener int32) (net.Addr, error) {
	sa, err := unix.Getsockname(int(listener))
	if err != nil {
		return nil, err
	}
	return socket.SockaddrToTCPOrUnixAddr(sa), nil
}

// Duplicate returns another descriptor of the same listener.
func Duplicate(listener int32) (int32, error) {
	n, err := socket.Dup(int(listener))
	return int32(n), err
}

// Connect begins to open a connection to an IPv4 address from one of the host's loopback
// addresses, counted from 0, where the platform has more than one; -1 leaves it to the
// system. The descriptor is non-blocking, and writable when the connection is open.
func Connect(addr string, source int) (fd int32, err error) {
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
