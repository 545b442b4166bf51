package nats

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// errFrame is wrapped by every refusal of what a server says.
var errFrame = errors.New("not the protocol of NATS")

// Bounds of what a server says.
const (
	maxLine    = 64 << 10 // bytes, with its end; INFO with a thousand addresses of other servers has less
	maxPayload = 72 << 20 // bytes with headers: a server allows at most 64 MiB, and JetStream adds headers
)

// frames is a connection that hands on no line by which its reader would panic, or take
// memory without a bound: the client library makes room for as much as a server
// announces, in a goroutine of its own. What comes is read in place, and only the
// beginning of a line whose end has yet to come is copied. It is stricter than the
// library where they might differ about where a line or a payload ends.
type frames struct {
	net.Conn
	line    []byte // the beginning of a line that has been handed on
	payload int    // bytes of a payload to come
	ending  bool   // the next line is the end of a payload
	err     error
}

// Read implements net.Conn. What comes before a refused line is handed on first. A refused
// line ends the connection, so that nobody waits to write to it.
func (f *frames) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.Conn.Read(p)
	good, bad := f.follow(p[:n])
	if bad == nil {
		return n, err
	}
	f.err = bad
	f.Close()
	if good == 0 {
		return 0, bad
	}
	return good, nil
}

// follow returns how much of p may be handed on, and why not all of it may.
func (f *frames) follow(p []byte) (int, error) {
	for at := 0; at < len(p); {
		if f.payload > 0 {
			c := min(f.payload, len(p)-at)
			at, f.payload = at+c, f.payload-c
			continue
		}
		end := bytes.IndexByte(p[at:], '\n') + 1
		length := end
		if end == 0 {
			length = len(p) - at
		}
		if len(f.line)+length > maxLine {
			return at, fmt.Errorf("%w: a line of more than %d bytes", errFrame, maxLine)
		}
		if end == 0 {
			f.line = append(f.line, p[at:]...)
			return len(p), nil
		}
		line := p[at : at+end]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		if err := f.take(line); err != nil {
			return at, err
		}
		f.line = f.line[:0]
		at += end
	}
	return len(p), nil
}

// take takes in a line, with its end.
func (f *frames) take(line []byte) error {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(text, '\r') >= 0 {
		return fmt.Errorf("%w: the line %.64q, want \\r\\n at its end alone", errFrame, line)
	}
	if f.ending {
		if f.ending = false; len(text) > 0 {
			return fmt.Errorf("%w: %.64q after a payload, want its end", errFrame, line)
		}
		return nil
	}
	verb, rest := cut(text)
	switch {
	case bytes.EqualFold(verb, []byte("MSG")):
		return f.begin(line, rest, 0)
	case bytes.EqualFold(verb, []byte("HMSG")):
		return f.begin(line, rest, 1)
	}
	for _, known := range []string{"PING", "PONG", "+OK", "-ERR", "INFO"} {
		if bytes.EqualFold(verb, []byte(known)) {
			return nil
		}
	}
	return fmt.Errorf("%w: the line %.64q", errFrame, line)
}

// begin takes in what is said of a message: its subject, the number of the subscription,
// a subject for replies, which may be missing, the size of its headers if it has some,
// and its size with them.
func (f *frames) begin(line, rest []byte, headers int) error {
	var words [5][]byte
	n := 0
	for len(rest) > 0 {
		if n == len(words) {
			return fmt.Errorf("%w: the line %.64q has too many words", errFrame, line)
		}
		words[n], rest = cut(rest)
		n++
	}
	if n != 3+headers && n != 4+headers {
		return fmt.Errorf("%w: the line %.64q has %d words after the first, want %d or %d", errFrame, line, n, 3+headers, 4+headers)
	}
	if _, err := strconv.ParseUint(string(words[1]), 10, 63); err != nil {
		return fmt.Errorf("%w: the subscription %.64q in %.64q, want a number", errFrame, words[1], line)
	}
	size, err := strconv.ParseUint(string(words[n-1]), 10, 63)
	if err != nil || size > maxPayload {
		return fmt.Errorf("%w: the size %.64q in %.64q, want 0 to %d", errFrame, words[n-1], line, maxPayload)
	}
	if headers > 0 {
		if of, err := strconv.ParseUint(string(words[n-2]), 10, 63); err != nil || of > size {
			return fmt.Errorf("%w: the size of headers %.64q in %.64q, want 0 to %d", errFrame, words[n-2], line, size)
		}
	}
	f.payload, f.ending = int(size), true
	return nil
}

// cut returns the first word of text, and what comes after the blanks that end it. Words
// are short.
func cut(text []byte) (word, rest []byte) {
	end := 0
	for end < len(text) && text[end] != ' ' && text[end] != '\t' {
		end++
	}
	next := end
	for next < len(text) && (text[next] == ' ' || text[next] == '\t') {
		next++
	}
	return text[:end], text[next:]
}
