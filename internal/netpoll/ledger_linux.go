package netpoll

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel keeps a ledger of each TCP connection, whichever processes have it: how many
// bytes were ever written to it, and how many were ever read.

// Written returns how many bytes were ever written to a connection. It counts exactly while it
// is open: established, and shut in neither direction. Otherwise ok is false, also if the
// client has done so. Nobody may write meanwhile.
func Written(fd int32) (n uint64, ok bool) {
	var info tcpInfo
	for last := (tcpInfo{}); ; last = info {
		queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) // that were written, and are not acknowledged
		if err != nil || !info.get(fd) {
			return 0, false
		}
		if queued == 0 || info.bytesAcked == last.bytesAcked { // else some were acknowledged meanwhile
			return info.bytesAcked + uint64(queued), info.state == tcpEstablished
		}
	}
}

// Read returns how many bytes were ever read from a connection; ok as of Written. Nobody may
// read meanwhile.
func Read(fd int32) (n uint64, ok bool) {
	var info tcpInfo
	for last := (tcpInfo{}); ; last = info {
		queued, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ) // that came, and were not read
		if err != nil || !info.get(fd) {
			return 0, false
		}
		if info.bytesReceived == uint64(queued) || info.bytesReceived == last.bytesReceived { // else some came meanwhile
			return info.bytesReceived - uint64(queued), info.state == tcpEstablished
		}
	}
}

// tcpEstablished is TCP_ESTABLISHED of the kernel.
const tcpEstablished = 1

// tcpInfo is the beginning of the kernel's struct tcp_info. That of package unix is allocated
// for each call.
type tcpInfo struct {
	state         uint8
	_             [119]byte
	bytesAcked    uint64
	bytesReceived uint64
}

// get asks the kernel. It returns false if that does not know the connection, or does not
// count.
func (t *tcpInfo) get(fd int32) bool {
	size := uint32(unsafe.Sizeof(*t))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(t)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && size == uint32(unsafe.Sizeof(*t))
}
