package resp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Bounds of a reply. Those that a client of ours asks for are far smaller.
const (
	maxReplyDepth    = 8
	maxReplyElements = 64 << 10 // in all arrays of the reply together
	maxReplyBulk     = 1 << 20  // bytes
)

// Error is an error reply, its code included: "NOAUTH Authentication
// required.".
type Error string

func (e Error) Error() string { return string(e) }

// ReadReply reads one reply. It is a string for simple and bulk strings, an
// int64, nil, or an []any for arrays, sets, pushes and maps, the last with keys
// and values in turn. An error reply is the error, of type [Error]; within an
// array it is an element. Any other error means that the stream is of no more
// use. r's buffer bounds the length of a line.
func ReadReply(r *bufio.Reader) (any, error) {
	budget := maxReplyElements
	reply, err := readReply(r, maxReplyDepth, &budget)
	if err != nil {
		return nil, err
	}
	if e, ok := reply.(Error); ok {
		return nil, e
	}
	return reply, nil
}

func readReply(r *bufio.Reader, depth int, budget *int) (any, error) {
	kind, line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	switch kind {
	case '+':
		return string(line), nil
	case '-':
		return Error(line), nil
	case ':':
		n, err := strconv.ParseInt(string(line), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: invalid integer %q", ErrProtocol, line)
		}
		return n, nil
	case '_':
		return nil, nil
	case '$':
		return readBulk(r, line)
	case '*', '~', '>':
		return readArray(r, line, 1, depth, budget)
	case '%':
		return readArray(r, line, 2, depth, budget)
	}
	return nil, fmt.Errorf("%w: unexpected reply type %q", ErrProtocol, kind)
}

// readLine returns the type byte of a line and what stands between it and CRLF,
// which is valid until the next read.
func readLine(r *bufio.Reader) (kind byte, line []byte, err error) {
	line, err = r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return 0, nil, fmt.Errorf("%w: reply line of more than %d bytes", ErrProtocol, r.Size())
	case err == io.EOF && len(line) > 0:
		return 0, nil, io.ErrUnexpectedEOF
	case err != nil:
		return 0, nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return 0, nil, fmt.Errorf("%w: invalid reply line %q", ErrProtocol, line)
	}
	return line[0], line[1:], nil
}

func readBulk(r *bufio.Reader, digits []byte) (any, error) {
	if string(digits) == "-1" {
		return nil, nil
	}
	n, ok := decimal(digits, maxReplyBulk)
	if !ok {
		return nil, fmt.Errorf("%w: invalid bulk length %q: want 0 to %d", ErrProtocol, digits, maxReplyBulk)
	}
	bulk := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, bulk); err != nil {
		return nil, unexpected(err)
	}
	bulk, ok = bytes.CutSuffix(bulk, []byte("\r\n"))
	if !ok {
		return nil, fmt.Errorf("%w: expected CRLF after a bulk of %d bytes", ErrProtocol, n)
	}
	return string(bulk), nil
}

// readArray reads the elements of an array, or of anything that is like one
// with so many replies per element.
func readArray(r *bufio.Reader, digits []byte, replies, depth int, budget *int) (any, error) {
	if string(digits) == "-1" {
		return nil, nil
	}
	n, ok := decimal(digits, *budget/replies)
	if !ok {
		return nil, fmt.Errorf("%w: invalid multibulk length %q: want 0 to %d", ErrProtocol, digits, *budget/replies)
	}
	if depth == 0 {
		return nil, fmt.Errorf("%w: reply nested more than %d deep", ErrProtocol, maxReplyDepth)
	}
	n *= replies
	*budget -= n
	var elements []any // grows with what has come, not with what was announced
	for range n {
		e, err := readReply(r, depth-1, budget)
		if err != nil {
			return nil, unexpected(err)
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// unexpected is for errors in mid-reply, where the end of the stream is not the
// end of anything.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
