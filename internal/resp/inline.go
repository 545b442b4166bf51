package resp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// inline parses a line such as `SSE.PUBLISH /a "two words" EVENT news`. It ends
// with LF; a CR before that is not part of it.
func (p *Parser) inline(buf []byte) (n int, err error) {
	if crossProtocol(buf) {
		return 0, ErrCrossProtocol
	}
	lf := bytes.IndexByte(buf[p.pos:], '\n')
	n = p.pos + lf + 1
	if lf < 0 {
		n = len(buf) + 1 // at least
	}
	if n > p.Limits.Command {
		return 0, fmt.Errorf("%w: too big inline request: at most %d bytes", ErrTooLarge, p.Limits.Command)
	}
	if lf < 0 {
		p.pos = len(buf)
		return 0, nil
	}
	return n, p.split(bytes.TrimSuffix(buf[:n-1], []byte("\r")))
}

// crossProtocol tells whether a line begins as one of HTTP: with the method that
// a web page may send anywhere without asking first, or with the header that no
// request is without.
func crossProtocol(buf []byte) bool {
	const n = len("POST ")
	return len(buf) >= n && (bytes.EqualFold(buf[:n], []byte("POST ")) || bytes.EqualFold(buf[:n], []byte("Host:")))
}

// CheckOpening judges the first byte of a connection. Requests begin with a letter or
// as an array does, and an empty line before them does no harm. A client that begins
// otherwise, as with TLS or STUN, speaks another protocol, in which some line may look
// like a request.
func CheckOpening(b byte) error {
	if isLetter(b) || b == '*' || b == '\r' || b == '\n' || strings.IndexByte(blanks, b) >= 0 {
		return nil
	}
	return fmt.Errorf("%w: the connection begins with %q, want a letter or '*'", ErrProtocol, b)
}

// CheckFirst judges the first request of a connection that has arguments: it must not
// be a request line of HTTP, and begin as CheckOpening demands, without blanks.
func CheckFirst(request []byte) error {
	if request[0] == '*' {
		return nil
	}
	line := bytes.TrimRight(request, blanks+"\n")
	if n := len(line) - len(" HTTP/1.x"); n >= 0 && bytes.EqualFold(line[n:len(line)-1], []byte(" HTTP/1.")) {
		return ErrCrossProtocol
	}
	if !isLetter(request[0]) {
		return fmt.Errorf("%w: the connection begins with %q, want a letter or '*'", ErrProtocol, request[0])
	}
	return nil
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// split finds the arguments of a line.
func (p *Parser) split(line []byte) error {
	p.unquoted = p.unquoted[:0]
	verbatim := 0
	for {
		line = bytes.TrimLeft(line, blanks)
		switch {
		case len(line) == 0:
			return nil
		case len(p.args) == p.Limits.Elements:
			return fmt.Errorf("%w: too many arguments in inline request: at most %d", ErrProtocol, p.Limits.Elements)
		case verbatim > 0 && len(p.args) == verbatim:
			p.args = append(p.args, line)
			return nil
		}
		var arg []byte
		switch end := bytes.IndexAny(line, blanks+`"'`); {
		case end < 0:
			arg, line = line, nil
		case line[end] != '"' && line[end] != '\'':
			arg, line = line[:end:end], line[end:]
		default:
			var ok bool
			if arg, line, ok = p.unquote(line, end); !ok {
				return fmt.Errorf("%w: unbalanced quotes in request", ErrProtocol)
			}
		}
		p.args = append(p.args, arg)
		if len(p.args) == 1 && p.Verbatim != nil {
			verbatim = p.Verbatim(arg)
		}
	}
}

// unquote returns the value of the argument at the head of line, whose quoted
// part begins at line[open], and the line after it. By the rules of
// redis-cli "..." knows \n \r \t \b \a and \xHH, '...' knows \' alone, and the
// closing quote ends the argument: not ok if there is none, or if something
// follows it.
func (p *Parser) unquote(line []byte, open int) (arg, rest []byte, ok bool) {
	from := len(p.unquoted)
	p.unquoted = append(p.unquoted, line[:open]...)
	quote, i := line[open], open+1
	for i < len(line) && line[i] != quote {
		c, size := unescape(line[i:], quote)
		p.unquoted = append(p.unquoted, c)
		i += size
	}
	if i == len(line) {
		return nil, nil, false
	}
	to := len(p.unquoted)
	rest = line[i+1:]
	return p.unquoted[from:to:to], rest, len(rest) == 0 || strings.IndexByte(blanks, rest[0]) >= 0
}

// unescape returns the byte that the head of s, which is not empty, stands for
// between quotes, and how many bytes of s that takes.
func unescape(s []byte, quote byte) (c byte, size int) {
	if s[0] != '\\' || len(s) == 1 || quote == '\'' && s[1] != '\'' {
		return s[0], 1
	}
	switch s[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'a':
		return '\a', 2
	case 'x':
		var b [1]byte
		if len(s) >= 4 {
			if _, err := hex.Decode(b[:], s[2:4]); err == nil {
				return b[0], 4
			}
		}
	}
	return s[1], 2
}
