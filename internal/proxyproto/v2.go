package proxyproto

import (
	"encoding/binary"
	"net/netip"
)

const (
	v2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	v2Fixed     = len(v2Signature) + 4 // version and command, family and transport, length
)

// Lengths of the two addresses, with ports where there are some.
const (
	ends4    = 2*4 + 2*2
	ends6    = 2*16 + 2*2
	endsUnix = 2 * 108
)

// parseV2 reads the binary form (section 2.2). Fields of type, length and value
// follow the addresses; they are skipped.
func parseV2(buf []byte) (client netip.AddrPort, n int, err error) {
	if err := begins(buf, v2Signature); err != nil {
		return client, 0, err
	}
	// Each byte is judged as soon as it is there.
	fixed := buf[len(v2Signature):min(len(buf), v2Fixed)]
	local := false
	if len(fixed) > 0 {
		switch fixed[0] {
		case 0x20:
			local = true
		case 0x21:
		default:
			if fixed[0]>>4 != 2 {
				return client, 0, ErrVersion
			}
			return client, 0, ErrCommand
		}
	}
	need := 0
	if len(fixed) > 1 && !local { // the family of LOCAL is to be ignored
		switch fixed[1] {
		case 0x00, 0x01, 0x02, 0x10, 0x20, 0x30: // UNSPEC in one or both
		case 0x11, 0x12:
			need = ends4
		case 0x21, 0x22:
			need = ends6
		case 0x31, 0x32:
			need = endsUnix
		default:
			return client, 0, ErrFamily
		}
	}
	if len(fixed) < 4 {
		return client, 0, ErrNeedMore
	}
	length := int(binary.BigEndian.Uint16(fixed[2:]))
	switch n = v2Fixed + length; {
	case length < need:
		return client, 0, ErrShort
	case n > MaxBytes:
		return client, 0, ErrLong
	case len(buf) < n:
		return client, 0, ErrNeedMore
	}
	ends := buf[v2Fixed:n]
	switch {
	case local:
	case fixed[1] == 0x11:
		client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ends)), binary.BigEndian.Uint16(ends[8:]))
	case fixed[1] == 0x21:
		client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(ends)), binary.BigEndian.Uint16(ends[32:]))
	}
	return client, n, nil
}
