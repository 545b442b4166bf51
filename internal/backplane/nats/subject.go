package nats

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// A channel name becomes a subject token by token: the part between two slashes
// is a token, with everything but letters, digits, "-" and "_" as "=XX",
// its bytes in hexadecimal. The first token is dropped where it is empty, as it is
// for a path: "/rooms/42" becomes "rooms.42".
const (
	emptyToken = "="  // a token without a byte: "/a//b" becomes "a.=.b"
	noSlash    = "=-" // in front of a name that does not begin with a slash
)

// appendSubject appends the subject of a channel, without a prefix. Different
// channels have different subjects.
func appendSubject(dst []byte, channel string) []byte {
	rest, isPath := strings.CutPrefix(channel, "/")
	if !isPath {
		dst = append(dst, noSlash+"."...)
	}
	for i, token := range strings.Split(rest, "/") {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = appendToken(dst, token)
	}
	return dst
}

func appendToken(dst []byte, token string) []byte {
	if token == "" {
		return append(dst, emptyToken...)
	}
	for _, c := range []byte(token) {
		if isPlain(c) {
			dst = append(dst, c)
		} else {
			dst = fmt.Appendf(dst, "=%02X", c)
		}
	}
	return dst
}

// isPlain tells the bytes that stand for themselves.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// channelOf is the inverse of appendSubject. It returns false for a subject that
// no channel has.
func channelOf(subject string) (channel string, ok bool) {
	var b strings.Builder
	rest, bare := strings.CutPrefix(subject, noSlash+".")
	for i, token := range strings.Split(rest, ".") {
		if i > 0 || !bare {
			b.WriteByte('/')
		}
		if token == emptyToken {
			continue
		}
		for len(token) > 0 {
			c := token[0]
			if c != '=' {
				b.WriteByte(c)
				token = token[1:]
				continue
			}
			if len(token) < 3 {
				return "", false
			}
			n, err := hex.DecodeString(token[1:3])
			if err != nil {
				return "", false
			}
			b.Write(n)
			token = token[3:]
		}
	}
	channel = b.String()
	return channel, string(appendSubject(nil, channel)) == subject
}
