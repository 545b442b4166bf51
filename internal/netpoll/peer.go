package netpoll

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Peer is the address of a connection's other end. It has no pointers, unlike
// netip.AddrPort, so that a million of them in a map cost the garbage collector nothing.
type Peer struct {
	IP   [16]byte // IPv4 in its mapped form
	Port uint16
}

// PeerAt returns the peer that has an address.
func PeerAt(addr netip.AddrPort) Peer { return Peer{addr.Addr().As16(), addr.Port()} }

// PeerOf returns the other end of a connection, as the kernel knows it; the zero Peer if
// it has been reset meanwhile.
func PeerOf(fd int32) Peer {
	sa, err := unix.Getpeername(int(fd))
	if err != nil {
		return Peer{}
	}
	return peerOf(sa)
}

func peerOf(sa unix.Sockaddr) Peer {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return Peer{netip.AddrFrom4(sa.Addr).As16(), uint16(sa.Port)}
	case *unix.SockaddrInet6:
		return Peer{sa.Addr, uint16(sa.Port)}
	}
	return Peer{}
}

// AddrPort returns the address as others know it: IPv4 as IPv4.
func (p Peer) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(p.IP).Unmap(), p.Port)
}

// String is for people.
func (p Peer) String() string { return p.AddrPort().String() }
