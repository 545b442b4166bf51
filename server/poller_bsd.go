//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package server

import (
	"os"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// listenerPerLoop: here SO_REUSEPORT does not spread connections, so one
// listener is polled by all loops, by a duplicate of it each.
const listenerPerLoop = false

// openWake returns a pipe: signal writes to it, drain reads it empty.
func openWake() (read, write int, err error) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return 0, 0, os.NewSyscallError("pipe", err)
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(p[0])
			unix.Close(p[1])
			return 0, 0, os.NewSyscallError("fcntl", err)
		}
	}
	return p[0], p[1], nil
}

// setUserTimeout has no portable equal here; the kernel's own retransmission
// limit ends a vanished peer.
func setUserTimeout(fd, ms int) error { return nil }

// accept takes the next connection from a listener, non-blocking and closed on
// exec.
func accept(listener int32) (fd int32, from peer, err error) {
	n, sa, err := socket.Accept(int(listener))
	return int32(n), socketPeer(sa), err
}

// setUnsentBytes has no portable equal here either: the send buffer is the bound.
func setUnsentBytes(fd, n int) error { return nil }

// acknowledged has no portable equal here: nothing is known of before.
func acknowledged(fd int32) int { return 0 }
