package channels

// Pattern stands for channel names as patterns of Redis do: * is any bytes, ? one
// byte, [abc] [a-z] [^a] one byte of a class, \ before a byte takes it literally.
// A class that is not closed ends with the pattern.
type Pattern string

// Match tells whether name fits p. It takes time in proportion to the product of
// the lengths, whatever the pattern.
func (p Pattern) Match(name string) bool {
	pattern := string(p)
	i, n := 0, 0
	star, begin := -1, 0 // the last * seen, and where in name what follows it was last tried
	for i < len(pattern) || n < len(name) {
		if i < len(pattern) && pattern[i] == '*' {
			star, begin = i, n
			i++
			continue
		}
		if i < len(pattern) && n < len(name) {
			if ok, size := matchByte(pattern[i:], name[n]); ok {
				i += size
				n++
				continue
			}
		}
		// An earlier * need not be tried again: whatever it could take, the
		// last one can.
		if star < 0 || begin == len(name) {
			return false
		}
		begin++
		i, n = star+1, begin
	}
	return true
}

// matchByte tells whether b fits the head of pattern, and how long that head
// is.
func matchByte(pattern string, b byte) (ok bool, size int) {
	switch pattern[0] {
	case '?':
		return true, 1
	case '[':
		return matchClass(pattern, b)
	case '\\':
		if len(pattern) > 1 {
			return pattern[1] == b, 2
		}
	}
	return pattern[0] == b, 1
}

func matchClass(pattern string, b byte) (ok bool, size int) {
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for i < len(pattern) && pattern[i] != ']' {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
		}
		low, high := pattern[i], pattern[i]
		if i+2 < len(pattern) && pattern[i+1] == '-' {
			high = pattern[i+2]
			i += 2
		}
		ok = ok || min(low, high) <= b && b <= max(low, high)
		i++
	}
	return ok != not, min(i+1, len(pattern))
}
