package channels

import (
	"bytes"
	"cmp"
	"strconv"
)

// Position is a message's place in the order of whoever numbers it. The broker
// counts in Minor alone, with its sequence; an engine that keeps history uses
// both as it likes. Positions of one channel grow from message to message.
type Position struct{ Major, Minor uint64 }

// compare orders positions.
func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Major, q.Major), cmp.Compare(p.Minor, q.Minor))
}

// appendID appends the event id "<epoch>-<position>": "<epoch>-<minor>", or
// "<epoch>-<major>-<minor>" where there is a major.
func appendID(dst []byte, epoch string, p Position) []byte {
	dst = append(dst, epoch...)
	if p.Major != 0 {
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, p.Major, 10)
	}
	dst = append(dst, '-')
	return strconv.AppendUint(dst, p.Minor, 10)
}

// appendIDLine appends the field that tells a client its last event id.
func appendIDLine(dst []byte, epoch string, p Position) []byte {
	dst = append(dst, "id: "...)
	return append(appendID(dst, epoch, p), '\n')
}

// parseID takes an event id apart. It returns false for what appendID does not
// write.
func parseID(id []byte) (epoch []byte, p Position, ok bool) {
	epoch, rest, _ := bytes.Cut(id, dash)
	first, second, both := bytes.Cut(rest, dash)
	if !both {
		p.Minor, ok = parseDecimal(first)
		return epoch, p, ok && len(epoch) > 0
	}
	major, ok1 := parseDecimal(first)
	minor, ok2 := parseDecimal(second)
	return epoch, Position{major, minor}, ok1 && ok2 && major > 0 && len(epoch) > 0
}

var dash = []byte("-")

// parseDecimal reads a number of digits alone, without needless zeros.
func parseDecimal(p []byte) (n uint64, ok bool) {
	if len(p) == 0 || p[0] == '0' && len(p) > 1 {
		return 0, false
	}
	for _, c := range p {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
