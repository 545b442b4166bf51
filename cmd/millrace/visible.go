package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// visible is a terminal for texts of strangers: it gets no control characters but
// tabs and line ends, which could move its cursor, name its window or type into it. Each
// is shown by its number. Each write ends at the end of a character.
type visible struct{ to io.Writer }

func (v visible) Write(text []byte) (int, error) {
	if _, err := v.to.Write(appendVisible(nil, text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

func appendVisible(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, text[0])
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}
