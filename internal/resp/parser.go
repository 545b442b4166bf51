package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

var (
	// ErrProtocol is the head of every error that bad input causes. The stream
	// after it has no meaning any more: send the error and close.
	//lint:ignore ST1005 it goes out on the wire, worded as Redis words it
	ErrProtocol = errors.New("Protocol error")

	// ErrTooLarge is ErrProtocol for a request above Limits.Bulk or Limits.Command.
	ErrTooLarge = fmt.Errorf("%w", ErrProtocol)

	// ErrCrossProtocol is returned for an HTTP request: a browser has been
	// talked into sending one to this port. Close without an answer.
	ErrCrossProtocol = errors.New("HTTP request on a Redis port")
)

// Limits bound what one request may take. All must be positive, and Bulk and
// Command below a tenth of the largest int.
type Limits struct {
	Elements int // arguments of a request, its name included
	Bulk     int // bytes of one argument
	Command  int // bytes of one request on the wire, in either form
}

// Unauthenticated is what Redis 7 grants a client that has not given its
// password yet.
var Unauthenticated = Limits{Elements: 10, Bulk: 16 << 10, Command: 64 << 10}

// maxHeader is the most bytes between a type byte and the end of its line:
// every int64 fits, and CRLF.
const maxHeader = 22

// blanks separate the arguments of an inline request.
const blanks = " \t\v\f\r"

// Parser finds requests at the head of a buffer. It keeps its place between
// calls, so that a request that comes byte by byte is still parsed in linear
// time, and its slices, so that it does not allocate once they have grown. Not
// safe for concurrent use.
type Parser struct {
	// Limits may be changed between two requests.
	Limits Limits

	// Verbatim, if set, is asked for every inline request with its name as it
	// was sent. A result n > 0 ends the splitting after n arguments: what
	// follows on the line is one more, taken as it stands, quotes and blanks
	// included.
	Verbatim func(name []byte) int

	pos      int    // bytes of this request that need no second look; 0 before it has begun
	elements int    // announced by the array header
	end      int    // end of the bulk announced at pos; 0 while its header is outstanding
	spans    []span // the bulks that are complete, as offsets because the buffer may move between calls

	args     [][]byte
	unquoted []byte // the values of quoted inline arguments
}

type span struct{ from, to int }

// Next parses the request at the head of buf and returns its arguments and its
// length in bytes. n == 0 without an error means that the request is
// incomplete: call again with the same bytes and more after them. Empty lines
// and empty arrays are requests without arguments, to be skipped. After an
// error the parser is of no more use.
//
// The arguments lie in buf or in the parser, and are valid until the next call.
func (p *Parser) Next(buf []byte) (args [][]byte, n int, err error) {
	clear(p.args) // or they would hold a buffer that the caller has let go
	p.args = p.args[:0]
	switch {
	case len(buf) == 0:
		return nil, 0, nil
	case buf[0] == '*':
		n, err = p.array(buf)
	default:
		n, err = p.inline(buf)
	}
	if n == 0 || err != nil {
		return nil, 0, err
	}
	p.pos, p.spans = 0, p.spans[:0]
	return p.args, n, nil
}

// array parses `*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n` from where the last call left
// off.
func (p *Parser) array(buf []byte) (n int, err error) {
	if p.pos == 0 {
		if p.elements, p.pos, err = header(buf, 0, p.Limits.Elements, "multibulk"); p.pos == 0 {
			return 0, err
		}
	}
	for len(p.spans) < p.elements {
		if p.end == 0 {
			if p.pos == len(buf) {
				return 0, nil
			}
			if buf[p.pos] != '$' {
				return 0, fmt.Errorf("%w: expected '$', got %q", ErrProtocol, buf[p.pos])
			}
			length, next, err := header(buf, p.pos, p.Limits.Bulk, "bulk")
			if next == 0 {
				return 0, err
			}
			p.pos, p.end = next, next+length
			if p.end+len("\r\n") > p.Limits.Command {
				return 0, fmt.Errorf("%w: too big request: at most %d bytes", ErrTooLarge, p.Limits.Command)
			}
		}
		if len(buf) < p.end+len("\r\n") {
			return 0, nil
		}
		if buf[p.end] != '\r' || buf[p.end+1] != '\n' {
			return 0, fmt.Errorf("%w: expected CRLF after a bulk of %d bytes, got %q",
				ErrProtocol, p.end-p.pos, buf[p.end:p.end+2])
		}
		p.spans = append(p.spans, span{p.pos, p.end})
		p.pos, p.end = p.end+len("\r\n"), 0
	}
	for _, s := range p.spans {
		p.args = append(p.args, buf[s.from:s.to:s.to])
	}
	return p.pos, nil
}

// header reads the length that stands between the type byte at buf[at] and
// CRLF. next is the offset after the line, and 0 if the line is incomplete or
// bad.
func header(buf []byte, at, limit int, what string) (length, next int, err error) {
	line := buf[at+1 : min(len(buf), at+1+maxHeader)]
	i := bytes.IndexByte(line, '\n')
	if i < 0 && len(line) < maxHeader {
		return 0, 0, nil
	}
	digits, terminated := bytes.CutSuffix(line[:max(i, 0)], []byte("\r"))
	switch {
	case i < 0:
		return 0, 0, fmt.Errorf("%w: too big %s count string %q", ErrProtocol, what, line)
	case !terminated:
		return 0, 0, fmt.Errorf("%w: invalid %s length %q: want CRLF after it", ErrProtocol, what, digits)
	}
	length, ok := decimal(digits, limit)
	if !ok {
		kind := ErrProtocol
		if _, number := decimal(digits, math.MaxInt/10-1); number && what == "bulk" {
			kind = ErrTooLarge
		}
		return 0, 0, fmt.Errorf("%w: invalid %s length %q: want 0 to %d", kind, what, digits, limit)
	}
	return length, at + 1 + i + 1, nil
}

// decimal is the number that digits stand for. There is one way to write a
// number: no sign, no leading zero.
func decimal(digits []byte, limit int) (n int, ok bool) {
	if len(digits) == 0 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > limit {
			return 0, false
		}
	}
	return n, true
}
