package channels

import (
	"bytes"
	"strconv"
)

// appendID appends the event id "<epoch>-<sequence>".
func appendID(dst []byte, epoch string, seq uint64) []byte {
	dst = append(dst, epoch...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, seq, 10)
}

// appendIDLine appends the field that tells a client its last event id.
func appendIDLine(dst []byte, epoch string, seq uint64) []byte {
	dst = append(dst, "id: "...)
	return append(appendID(dst, epoch, seq), '\n')
}

// parseID takes an event id apart. It returns false for a text that appendID does not
// write.
func parseID(id []byte) (epoch []byte, seq uint64, ok bool) {
	epoch, digits, _ := bytes.Cut(id, dash)
	seq, ok = parseDecimal(digits)
	return epoch, seq, ok && len(epoch) > 0
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
