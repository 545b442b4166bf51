package channels

// Glob stands for channel names as globs of Redis do: * is any bytes, ? one
// byte, [abc] [a-z] [^a] one byte of a class, \ before a byte takes it literally.
// A class that is not closed ends with the glob.
type Glob string

// Match tells whether name fits p. It takes time in proportion to the product of
// the lengths, for any glob.
func (p Glob) Match(name string) bool {
	glob := string(p)
	i, n := 0, 0
	star, begin := -1, 0 // the last * seen, and where in name what follows it was last tried
	for i < len(glob) || n < len(name) {
		if i < len(glob) && glob[i] == '*' {
			star, begin = i, n
			i++
			continue
		}
		if i < len(glob) && n < len(name) {
			if ok, size := matchByte(glob[i:], name[n]); ok {
				i += size
				n++
				continue
			}
		}
		// An earlier * need not be tried again: the last one can take all that it
		// could.
		if star < 0 || begin == len(name) {
			return false
		}
		begin++
		i, n = star+1, begin
	}
	return true
}

// matchByte tells whether b fits the head of glob, and how long that head
// is.
func matchByte(glob string, b byte) (ok bool, size int) {
	switch glob[0] {
	case '?':
		return true, 1
	case '[':
		return matchClass(glob, b)
	case '\\':
		if len(glob) > 1 {
			return glob[1] == b, 2
		}
	}
	return glob[0] == b, 1
}

func matchClass(glob string, b byte) (ok bool, size int) {
	i := 1
	not := i < len(glob) && glob[i] == '^'
	if not {
		i++
	}
	for i < len(glob) && glob[i] != ']' {
		if glob[i] == '\\' && i+1 < len(glob) {
			i++
		}
		low, high := glob[i], glob[i]
		if i+2 < len(glob) && glob[i+1] == '-' {
			high = glob[i+2]
			i += 2
		}
		ok = ok || min(low, high) <= b && b <= max(low, high)
		i++
	}
	return ok != not, min(i+1, len(glob))
}
