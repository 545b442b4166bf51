package bench

import (
	"errors"
	"strings"
	"testing"
)

// dechunk feeds pieces to a decoder and returns the body that it finds.
func dechunk(pieces ...string) (body string, err error) {
	c := chunks{part: chunkSize}
	for _, p := range pieces {
		for p := []byte(p); len(p) > 0; {
			run, rest, err := c.next(p)
			if err != nil {
				return body, err
			}
			body += string(run)
			p = rest
		}
	}
	return body, nil
}

func TestChunks(t *testing.T) {
	for _, c := range []struct {
		coded, body string
		err         error
	}{
		{"5\r\nhello\r\n", "hello", nil},
		{"5\r\nhello\r\n1;x=y\r\n!\r\n", "hello!", nil},
		{"1A\r\nabcdefghijklmnopqrstuvwxyz\r\n", "abcdefghijklmnopqrstuvwxyz", nil},
		{"2\nhi\n", "hi", nil},
		{"2\r\n\r\n\r\n", "\r\n", nil},
		{"3\r\nun", "un", nil},
		{"2\r\nhi\r\n0\r\n\r\n", "hi", ErrEnded},
		{"x\r\n", "", ErrGarbled},
		{"2\r\nhix", "hi", ErrGarbled},
		{"123456789a\r\n", "", ErrGarbled},
	} {
		for _, pieces := range [][]string{{c.coded}, strings.Split(c.coded, "")} {
			if body, err := dechunk(pieces...); body != c.body || !errors.Is(err, c.err) {
				t.Errorf("%q in %d pieces: %q, %v; want %q, %v", c.coded, len(pieces), body, err, c.body, c.err)
			}
		}
	}
}
