//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netpoll

import (
	"os"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// ListenerPerLoop is false, as SO_REUSEPORT does not spread connections here: all
// loops poll one listener, by a duplicate of it each.
const ListenerPerLoop = false

// openWake returns a pipe: Signal writes to it, Drain reads it empty.
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

func setUserTimeout(fd, ms int) error { return nil }

// Accept takes the next connection from a listener, non-blocking and closed on
// exec.
func Accept(listener int32) (fd int32, from Peer, err error) {
	n, sa, err := socket.Accept(int(listener))
	return int32(n), peerOf(sa), err
}

func setUnsentBytes(fd, n int) error { return nil }

// Acknowledged has no portable equal here: nothing is known of what a client has taken.
func Acknowledged(fd int32) int { return 0 }

// bindLoopback leaves the address to the system: only 127.0.0.1 is there without setting
// up others.
func bindLoopback(fd, source int) error { return nil }

// Written has no portable equal here.
func Written(fd int32) (n uint64, ok bool) { return 0, false }

// Read has no portable equal here.
func Read(fd int32) (n uint64, ok bool) { return 0, false }
