package proxyproto

import (
	"bytes"
	"net/netip"
	"unsafe"
)

const (
	v1Signature = "PROXY "
	v1MaxBytes  = 107 // CRLF included
)

// parseV1 reads a line such as "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443"
// (section 2.1).
func parseV1(buf []byte) (client netip.AddrPort, n int, err error) {
	if err := begins(buf, v1Signature); err != nil {
		return client, 0, err
	}
	view := buf[:min(len(buf), v1MaxBytes)]
	length := bytes.IndexByte(view, '\n')
	switch {
	case length < 0 && len(view) == v1MaxBytes:
		return client, 0, ErrLineLong
	case length < 0:
		return client, 0, ErrNeedMore
	}
	line, ok := bytes.CutSuffix(view[len(v1Signature):length], []byte{'\r'})
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return client, 0, ErrLine
	}
	protocol, rest, _ := bytes.Cut(line, []byte{' '})
	switch string(protocol) {
	case "TCP4":
		client, err = parseEnds(rest, netip.Addr.Is4)
	case "TCP6":
		client, err = parseEnds(rest, netip.Addr.Is6)
	case "UNKNOWN": // the rest of the line is to be ignored
	default:
		err = ErrLine
	}
	if err != nil {
		return netip.AddrPort{}, 0, err
	}
	return client, length + 1, nil
}

// parseEnds reads source, destination and their ports, and returns the source.
func parseEnds(text []byte, family func(netip.Addr) bool) (netip.AddrPort, error) {
	var fields [4][]byte
	for i := range fields {
		var more bool
		fields[i], text, more = bytes.Cut(text, []byte{' '})
		if more != (i < len(fields)-1) {
			return netip.AddrPort{}, ErrLine
		}
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, ok := parseAddr(fields[i])
		if !ok || !family(addr) {
			return netip.AddrPort{}, ErrAddress
		}
		port, ok := parsePort(fields[2+i])
		if !ok {
			return netip.AddrPort{}, ErrPort
		}
		ends[i] = netip.AddrPortFrom(addr, port)
	}
	return ends[0], nil
}

// parseAddr is netip.ParseAddr for bytes, without the zones of IPv6, which mean
// nothing on another host. The string shares the bytes and is gone when it
// returns: the error, which would keep it, is dropped.
func parseAddr(text []byte) (netip.Addr, bool) {
	if bytes.IndexByte(text, '%') >= 0 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(text), len(text)))
	return addr, err == nil
}

// parsePort reads a decimal number without leading zeros.
func parsePort(text []byte) (port uint16, ok bool) {
	if len(text) == 0 || len(text) > 5 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return uint16(n), n <= 0xffff
}
