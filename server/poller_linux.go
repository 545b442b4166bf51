package server

import (
	"encoding/binary"
	"net/netip"
	"os"
	"unsafe"

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

// accept takes the next connection from a listener, non-blocking and closed on
// exec. That of package unix, which gnet uses, allocates 250 bytes: at a million
// connections, more garbage than what they leave on the heap.
func accept(listener int32) (fd int32, from peer, err error) {
	var sa unix.RawSockaddrInet6 // IPv4 has its address in flowinfo, and fits
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(listener),
		uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return 0, peer{}, errno
	}
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	from.port = binary.BigEndian.Uint16(port[:])
	switch sa.Family {
	case unix.AF_INET6:
		from.ip = sa.Addr
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		from.ip = netip.AddrFrom4(v4.Addr).As16()
	}
	return int32(n), from, nil
}

// setUnsentBytes bounds what the kernel takes beyond what it can send, in bytes.
func setUnsentBytes(fd, n int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n))
}

// acknowledged returns how many bytes a connection's client has ever taken, as far as
// the kernel knows: what its own kernel holds for it counts, too.
func acknowledged(fd int32) int {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return int(info.Bytes_acked)
}
