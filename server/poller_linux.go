package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// listenerPerLoop: the kernel spreads connections over the listeners of one
// port, so every loop has its own and none shares an accept queue.
const listenerPerLoop = true

// openWake returns a descriptor that signal makes readable and drain quiet.
func openWake() (read, write int, err error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return fd, fd, os.NewSyscallError("eventfd", err)
}

// setUserTimeout bounds how long sent bytes may go without an acknowledgement,
// in milliseconds.
func setUserTimeout(fd, ms int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms))
}
