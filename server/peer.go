package server

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// peer is the address of a client. It has no pointers, unlike netip.AddrPort, so
// that a million of them in a map cost the garbage collector nothing.
type peer struct {
	ip   [16]byte // IPv4 in its mapped form
	port uint16
}

// socketPeer returns what the system says of the other end.
func socketPeer(sa unix.Sockaddr) peer {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return peer{netip.AddrFrom4(sa.Addr).As16(), uint16(sa.Port)}
	case *unix.SockaddrInet6:
		return peer{sa.Addr, uint16(sa.Port)}
	}
	return peer{}
}

// peerOf returns the client of a connection, as far as it is known.
func (l *loop) peerOf(c *conn) peer {
	if p, ok := l.peers.m[c.id()]; ok {
		return p
	}
	return c.peer()
}

// namedPeer returns the client that a proxy names.
func namedPeer(client netip.AddrPort) peer { return peer{client.Addr().As16(), client.Port()} }

// addrPort returns the address as others know it: IPv4 as IPv4.
func (p peer) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(p.ip).Unmap(), p.port)
}

// String is for people.
func (p peer) String() string { return p.addrPort().String() }

// network is what counts as one client: an IPv4 address, or the first 64 bits of
// an IPv6 address, which is what one customer gets at least (RFC 6177). IPv4 has
// a prefix of its own, out of what is reserved of IPv6.
type network uint64

func (p peer) network() network {
	if addr := netip.AddrFrom16(p.ip); addr.Is4In6() {
		return 0xffff<<32 | network(binary.BigEndian.Uint32(p.ip[12:]))
	}
	return network(binary.BigEndian.Uint64(p.ip[:8]))
}
