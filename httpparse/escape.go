package httpparse

import (
	"bytes"
	"iter"
)

// hexValue is the value of a hexadecimal digit, 255 for any other byte.
var hexValue = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	for i := range 16 {
		t["0123456789abcdef"[i]] = uint8(i)
		t["0123456789ABCDEF"[i]] = uint8(i)
	}
	return t
}()

// AppendPathDecoded appends raw to dst with its percent-escapes decoded. The
// result can be any bytes, "/" and NUL included. It returns dst as it was and
// ErrEscape if an escape is malformed, which the Path of a Request never is.
func AppendPathDecoded(dst, raw []byte) ([]byte, error) {
	return appendDecoded(dst, raw, '+')
}

// AppendQueryDecoded is AppendPathDecoded for the name or value of a parameter
// (application/x-www-form-urlencoded), where "+" stands for a space.
func AppendQueryDecoded(dst, raw []byte) ([]byte, error) {
	return appendDecoded(dst, raw, ' ')
}

func appendDecoded(dst, raw []byte, plus byte) ([]byte, error) {
	out := dst
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '%':
			if i+2 >= len(raw) {
				return dst, ErrEscape
			}
			high, low := hexValue[raw[i+1]], hexValue[raw[i+2]]
			if high|low > 15 {
				return dst, ErrEscape
			}
			c = high<<4 | low
			i += 2
		case '+':
			c = plus
		}
		out = append(out, c)
	}
	return out, nil
}

// validEscapes reports whether appendDecoded would succeed.
func validEscapes(raw []byte) bool {
	for {
		n := bytes.IndexByte(raw, '%')
		if n < 0 {
			return true
		}
		raw = raw[n+1:]
		if len(raw) < 2 || hexValue[raw[0]]|hexValue[raw[1]] > 15 {
			return false
		}
		raw = raw[2:]
	}
}

// Params iterates over the parameters of a query in order, as raw name and raw
// value (see AppendQueryDecoded). They are separated by "&" alone; empty ones
// are skipped; one without "=" has an empty value.
func Params(query []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := query; len(rest) > 0; {
			var param []byte
			param, rest, _ = bytes.Cut(rest, []byte("&"))
			if len(param) == 0 {
				continue
			}
			name, value, _ := bytes.Cut(param, []byte("="))
			if !yield(name, value) {
				return
			}
		}
	}
}
