package handover

import (
	"os"

	"golang.org/x/sys/unix"
)

// Cookie returns the number that the kernel gives each socket (SO_COOKIE), the same in all
// processes that have it and no other's until the next boot. It ties a record to a
// descriptor.
func Cookie(fd int) (uint64, error) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return cookie, os.NewSyscallError("getsockopt", err)
}
