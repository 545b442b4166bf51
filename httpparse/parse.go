// Package httpparse reads the head of an HTTP/1.0 or 1.1 request (RFC 9112):
// strictly, without I/O, without allocation.
//
// [Parse] looks at the bytes received so far and says one of three things:
// here is a complete head of n bytes, laid out in a [Request]; [ErrNeedMore];
// or a final [*Error] that carries the status to answer with. A head that two
// implementations could read in two ways is refused, since request smuggling
// lives on that. Parse accepts nothing that net/http would refuse, except an
// empty line before the request line, which RFC 9112, 2.2, has servers skip.
//
// The verdict is a function of the bytes alone, not of how they were cut into
// reads. Lines are judged in order, each as soon as its LF is there, so that
// garbage is refused at once and not at a deadline. The head as a whole (Host,
// body framing, number of headers) is judged at the blank line.
//
// A body is announced ([Request.ContentLength], [Request.Chunked]) but never
// read. Slices of a Request alias the buffer given to Parse and are valid as
// long as its bytes are. Nothing here is safe for concurrent use of one Request.
package httpparse

import "bytes"

const (
	// DefaultMaxBytes is the limit of a head, blank line included, in bytes.
	// Proxies pass on heads of 8 KiB and add lines of their own.
	DefaultMaxBytes = 16 << 10
	// MaxHeaders is the number of headers a Request has room for.
	MaxHeaders = 64
)

// Limits bound one head. A field that is zero or negative means its default.
type Limits struct {
	MaxBytes   int // of the head, request line to blank line; DefaultMaxBytes
	MaxHeaders int // header lines; at most, and by default, the constant MaxHeaders
}

func (l Limits) orDefaults() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxHeaders <= 0 || l.MaxHeaders > MaxHeaders {
		l.MaxHeaders = MaxHeaders
	}
	return l
}

// Parse judges the request head at the start of buf. It returns
//
//   - the length of a complete head, blank line included and one empty line
//     before it, and fills r;
//   - ErrNeedMore when the head is not complete: call again when more bytes
//     have come, with the earlier ones still first in buf (which may have moved);
//   - an *Error, which is final: more bytes will not change it.
//
// Unless the head is complete the contents of r are unspecified.
//
// seen is how many bytes of buf an earlier call has answered with ErrNeedMore,
// 0 at first. It changes the cost and never the verdict: each call looks at the
// new bytes and at the line they belong to, and the head is read once more as a
// whole at its end, so that a head is linear in its length however it is cut.
//
// Bytes beyond the limit have no influence. A head that does not fit is refused
// with ErrTargetTooLong while in its first line, with ErrHeadTooLarge after it.
func Parse(r *Request, buf []byte, seen int, lim Limits) (n int, err error) {
	lim = lim.orDefaults()
	view := buf[:min(len(buf), lim.MaxBytes)]
	skipped := 0
	if bytes.HasPrefix(view, lineEnd) {
		skipped = len(lineEnd)
		lim.MaxBytes -= skipped
	}
	n, err = r.parseHead(view[skipped:], max(seen-skipped, 0), lim)
	if err != nil {
		return 0, err
	}
	return skipped + n, nil
}

// lineEnd ends every line, and is an empty one.
var lineEnd = []byte("\r\n")

// parseHead is Parse of bytes that are within the limit and begin with a request line.
func (r *Request) parseHead(view []byte, seen int, lim Limits) (n int, err error) {
	start := 0
	if seen > 0 {
		seen = min(seen, len(view))
		if bytes.IndexByte(view[seen:], '\n') < 0 {
			return 0, incomplete(view, lim)
		}
		start = bytes.LastIndexByte(view[:seen], '\n') + 1
	}
	n, err = r.parseFrom(view, start)
	if err == nil && start > 0 {
		n, err = r.parseFrom(view, 0)
	}
	if err == ErrNeedMore {
		return 0, incomplete(view, lim)
	}
	if err == nil {
		err = r.checkHead(lim, r.Minor == 1)
	}
	return n, err
}

// incomplete is the answer to a view whose lines are good and whose blank line
// is missing.
func incomplete(view []byte, lim Limits) error {
	switch {
	case len(view) < lim.MaxBytes:
		return ErrNeedMore
	case bytes.IndexByte(view, '\n') < 0:
		return ErrTargetTooLong
	default:
		return ErrHeadTooLarge
	}
}

// parseFrom judges the lines of view from offset pos, which is the start of a
// line, to the blank line, and returns the offset after that. Only a pass that
// started at 0 leaves a whole head in r.
func (r *Request) parseFrom(view []byte, pos int) (int, error) {
	r.count = 0
	for {
		length := bytes.IndexByte(view[pos:], '\n')
		if length < 0 {
			return 0, ErrNeedMore
		}
		line := view[pos : pos+length]
		if length == 0 || line[length-1] != '\r' {
			return 0, ErrBareLF
		}
		line = line[:length-1]

		var err error
		switch {
		case pos == 0:
			err = r.parseRequestLine(line)
		case len(line) == 0:
			return pos + length + 1, nil
		default:
			err = r.parseHeaderLine(line)
		}
		if err != nil {
			if bytes.IndexByte(line, '\r') >= 0 {
				err = ErrBareCR // no part of a line may hold one, so it is the cause
			}
			return 0, err
		}
		pos += length + 1
	}
}
