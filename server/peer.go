package server

import (
	"encoding/binary"
	"net/netip"

	"millrace/internal/netpoll"
)

// peerOf returns the client of a connection, as far as it is known.
func (l *loop) peerOf(c *conn) netpoll.Peer {
	if p, ok := l.peers.m[c.id()]; ok {
		return p
	}
	return c.peer()
}

// network is what counts as one client: an IPv4 address, or the first 64 bits of
// an IPv6 address, which is what one customer gets at least (RFC 6177). IPv4 has
// a prefix of its own, out of what is reserved of IPv6.
type network uint64

func networkOf(p netpoll.Peer) network {
	if addr := netip.AddrFrom16(p.IP); addr.Is4In6() {
		return 0xffff<<32 | network(binary.BigEndian.Uint32(p.IP[12:]))
	}
	return network(binary.BigEndian.Uint64(p.IP[:8]))
}
