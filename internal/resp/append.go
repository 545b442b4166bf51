package resp

import "strconv"

// AppendSimple appends a simple string such as +OK. s is a line of our own
// making, without CR or LF.
func AppendSimple(dst []byte, s string) []byte {
	return append(append(append(dst, '+'), s...), "\r\n"...)
}

// AppendError appends an error reply. By custom msg begins with a code in
// capitals, such as ERR. Control characters, which could end the line and forge
// a reply, become spaces.
func AppendError(dst []byte, msg string) []byte {
	dst = append(dst, '-')
	from := len(dst)
	dst = append(dst, msg...)
	for i, c := range dst[from:] {
		if c < ' ' || c == 0x7f {
			dst[from+i] = ' '
		}
	}
	return append(dst, "\r\n"...)
}

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte {
	return appendNumber(dst, ':', n)
}

// AppendBulk appends a string that may hold any bytes.
func AppendBulk[T string | []byte](dst []byte, s T) []byte {
	dst = appendNumber(dst, '$', int64(len(s)))
	return append(append(dst, s...), "\r\n"...)
}

// AppendNull appends the absence of a string.
func AppendNull(dst []byte, v Version) []byte {
	if v == RESP3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "$-1\r\n"...)
}

// AppendArray appends the head of an array: n replies must follow.
func AppendArray(dst []byte, n int) []byte {
	return appendNumber(dst, '*', int64(n))
}

// AppendMap appends the head of a map: n pairs of replies must follow, key
// before value. RESP2 has a flat array instead.
func AppendMap(dst []byte, n int, v Version) []byte {
	if v == RESP3 {
		return appendNumber(dst, '%', int64(n))
	}
	return AppendArray(dst, 2*n)
}

// AppendPush appends the head of a message that answers no request: n replies
// must follow. RESP2 has an array instead.
func AppendPush(dst []byte, n int, v Version) []byte {
	if v == RESP3 {
		return appendNumber(dst, '>', int64(n))
	}
	return AppendArray(dst, n)
}

// AppendCommand appends a request in the array form.
func AppendCommand[T string | []byte](dst []byte, args ...T) []byte {
	dst = AppendArray(dst, len(args))
	for _, arg := range args {
		dst = AppendBulk(dst, arg)
	}
	return dst
}

func appendNumber(dst []byte, kind byte, n int64) []byte {
	return append(strconv.AppendInt(append(dst, kind), n, 10), "\r\n"...)
}
