package httpparse

import "encoding/binary"

// Classes of bytes, as bits of class.
const (
	isToken  = 1 << iota // RFC 9110 section 5.6.2: tchar
	isTarget             // request target; see below
	isHost               // RFC 3986 section 3.2.2: reg-name without percent-encoding
	isValue              // RFC 9110 section 5.5: field-vchar, SP, HTAB
)

// Of a request target we take what RFC 3986 lets stand in a path or query, and
// the seven bytes []^`{|} that browsers, following the URL Standard, do not
// encode everywhere either. A fragment mark and a backslash, which some agents
// read as a slash, are refused, as are quotes, angle brackets and all of
// non-ASCII.
var class = func() (t [256]uint8) {
	set := func(bytes string, bits uint8) {
		for i := range len(bytes) {
			t[bytes[i]] |= bits
		}
	}
	const alphanum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	set(alphanum, isToken|isTarget|isHost)
	set("!#$%&'*+-.^_`|~", isToken)
	set("-._~!$&'()*+,;=", isTarget|isHost)
	set(":@/?%[]^`{|}", isTarget)
	set("\t", isValue)
	for c := ' '; c < 256; c++ {
		if c != 0x7f {
			t[c] |= isValue
		}
	}
	return t
}()

// span returns the length of the longest prefix of b whose bytes are all of the
// class.
func span(b []byte, bit uint8) int {
	for i, c := range b {
		if class[c]&bit == 0 {
			return i
		}
	}
	return len(b)
}

// validValue reports whether b may be the value of a header. It reads eight
// bytes at a time; the last word overlaps the one before it.
func validValue(b []byte) bool {
	if len(b) < 8 {
		return span(b, isValue) == len(b)
	}
	for rest := b; len(rest) > 8; rest = rest[8:] {
		if hasControl(binary.LittleEndian.Uint64(rest)) && span(rest[:8], isValue) < 8 {
			return false
		}
	}
	last := b[len(b)-8:]
	return !hasControl(binary.LittleEndian.Uint64(last)) || span(last, isValue) == 8
}

// hasControl reports whether one of the eight bytes of w is below 0x20 or 0x7f:
// HTAB too, which the caller must allow again.
func hasControl(w uint64) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	del := w ^ 0x7f*ones // a zero byte where w has 0x7f
	return ((w-0x20*ones)&^w|(del-ones)&^del)&highs != 0
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// equalFold compares without regard to the case of ASCII letters.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func isOWS(c byte) bool   { return c == ' ' || c == '\t' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
