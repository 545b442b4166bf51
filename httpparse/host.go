package httpparse

import "bytes"

// portRule says whether a host must be followed by a port.
type portRule bool

const (
	portOptional portRule = false
	portRequired portRule = true // RFC 9110 section 9.3.6: CONNECT
)

// ValidHost reports whether b could be the value of a Host header: a name or an address,
// perhaps with a port. It may not be empty.
func ValidHost(b []byte) bool { return validHost(b, portOptional) }

// validHost reports whether b is a host and port of RFC 3986 section 3.2.2:
// a name without percent-encoding, an IPv4 address, or an IPv6 address without
// a zone in brackets; then perhaps a colon and a port, which may be empty
// unless required. User information is refused (RFC 9110 section 4.2.4).
func validHost(b []byte, rule portRule) bool {
	var port []byte
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !validIPv6(b[1:end]) {
			return false
		}
		port = b[end+1:]
	} else {
		n := span(b, isHost)
		if n == 0 {
			return false
		}
		port = b[n:]
	}
	if len(port) == 0 {
		return rule == portOptional
	}
	return port[0] == ':' && validPort(port[1:], rule)
}

func validPort(b []byte, rule portRule) bool {
	if len(b) == 0 {
		return rule == portOptional
	}
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
		n = min(n*10+int(c-'0'), 1<<16)
	}
	return n < 1<<16
}

// validIPv6 reports whether b is an IPv6 address of RFC 4291 section 2.2.
func validIPv6(b []byte) bool {
	fields, gap := 0, false // fields of 16 bits; whether "::" was there
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = true, b[2:]
	}
	for len(b) > 0 || !gap && fields == 0 {
		n := 0
		for n < len(b) && n < 4 && hexValue[b[n]] < 16 {
			n++
		}
		if n == 0 {
			return false
		}
		if n < len(b) && b[n] == '.' {
			fields += 2
			if !validIPv4(b) {
				return false
			}
			break
		}
		fields++
		b = b[n:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		b = b[1:]
		if b[0] == ':' {
			if gap {
				return false
			}
			gap, b = true, b[1:]
		}
	}
	if gap {
		return fields < 8
	}
	return fields == 8
}

// validIPv4 reports whether b is four decimal bytes without leading zeros.
func validIPv4(b []byte) bool {
	for part := range 4 {
		n, value := 0, 0
		for n < len(b) && n < 3 && isDigit(b[n]) {
			value = value*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || value > 255 || n > 1 && b[0] == '0' {
			return false
		}
		b = b[n:]
		if part < 3 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
	}
	return len(b) == 0
}
