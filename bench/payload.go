package bench

import "strconv"

// AppendPayload appends the data of event number n: its decimal, and if that
// is shorter than size bytes, a space and a filling up to size. All of it
// follows from n and size, so that a receiver can check every byte.
func AppendPayload(dst []byte, n uint64, size int) []byte {
	from := len(dst)
	dst = strconv.AppendUint(dst, n, 10)
	if len(dst)-from < size {
		dst = append(dst, ' ')
	}
	for pos := len(dst) - from; pos < size; {
		run := filling(n, pos, size-pos)
		dst = append(dst, run...)
		pos += len(run)
	}
	return dst
}

// AppendEvent appends the payload of event number n as it stands in a stream.
func AppendEvent(dst []byte, n uint64, size int) []byte {
	dst = append(dst, "data: "...)
	dst = AppendPayload(dst, n, size)
	return append(dst, "\n\n"...)
}

// filling returns the filling of event n from position pos of the payload on, at
// most max bytes of it, and one at least. Neighbouring events and neighbouring
// bytes differ.
func filling(n uint64, pos, max int) string {
	from := int((n + uint64(pos)) % period)
	return pattern[from:min(from+max, len(pattern))]
}

// pattern is a period of letters and digits, some times over, so that a run of
// it can be long.
const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	pattern = letters + letters + letters + letters + letters + letters + letters + letters
	period  = uint64(len(letters))
)
