package netpoll

import (
	"encoding/binary"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ListenerPerLoop is true, as the kernel spreads connections over the listeners of
// one port: every loop has its own, and none shares an accept queue.
const ListenerPerLoop = true

// openWake returns a descriptor that Signal makes readable and Drain quiet.
func openWake() (read, write int, err error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return fd, fd, os.NewSyscallError("eventfd", err)
}

func setUserTimeout(fd, ms int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms))
}

// Accept takes the next connection from a listener, non-blocking and closed on
// exec. That of package unix, which gnet uses, allocates 250 bytes: at a million
// connections, that is more garbage than they leave on the heap.
func Accept(listener int32) (fd int32, from Peer, err error) {
	var sa unix.RawSockaddrInet6 // IPv4 has its address in flowinfo, and fits
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(listener),
		uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return 0, Peer{}, errno
	}
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	from.Port = binary.BigEndian.Uint16(port[:])
	switch sa.Family {
	case unix.AF_INET6:
		from.IP = sa.Addr
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		from.IP = netip.AddrFrom4(v4.Addr).As16()
	}
	return int32(n), from, nil
}

func setUnsentBytes(fd, n int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n))
}

// Acknowledged returns how many bytes a connection's client has ever taken, as far as
// the kernel knows: bytes that wait in the client's own kernel count, too.
func Acknowledged(fd int32) int {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return int(info.Bytes_acked)
}

// bindLoopback binds fd to 127.0.0.1 plus source. The port is chosen when the
// socket connects: then two sockets may have the same one, if their peers
// differ.
func bindLoopback(fd, source int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	host := source + 1
	addr := unix.SockaddrInet4{Addr: [4]byte{127, byte(host >> 16), byte(host >> 8), byte(host)}}
	return os.NewSyscallError("bind", unix.Bind(fd, &addr))
}
