package channels

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DefaultMaxEventBytes is the largest Data and Type of one event together
// unless Options say otherwise, in bytes.
const DefaultMaxEventBytes = 64 << 10

// Errors of an event that cannot be put on the wire.
var (
	ErrEventTooLarge = errors.New("event too large")
	ErrEventData     = errors.New("bad event data")
	ErrEventType     = errors.New("bad event type")
	ErrEventRetry    = errors.New("bad retry")
)

// Event is one event as its publisher hands it in. Data is text of any number
// of lines, in UTF-8: clients replace what else a stream carries by U+FFFD.
// Type is the name that EventSource dispatches it under ("" is "message").
// Retry, when not 0, sets the client's reconnection delay, in whole
// milliseconds.
type Event struct {
	Data  []byte
	Type  string
	Retry time.Duration
}

// check reports why e cannot be an event of at most max bytes on a channel of text, or
// of any bytes.
func (e Event) check(max int, text bool) error {
	if n := len(e.Data) + len(e.Type); n > max {
		return fmt.Errorf("%w: %d bytes, want at most %d (--max-event-bytes)", ErrEventTooLarge, n, max)
	}
	if i := strings.IndexAny(e.Type, "\r\n\x00"); i >= 0 {
		return fmt.Errorf("%w: %.64q has %q at byte %d, want no line break and no NUL", ErrEventType, e.Type, e.Type[i], i)
	}
	if !utf8.ValidString(e.Type) {
		return fmt.Errorf("%w: %.64q is not valid UTF-8", ErrEventType, e.Type)
	}
	if i := invalidUTF8(e.Data); i >= 0 && text {
		return fmt.Errorf("%w: byte %d (%#02x) is not valid UTF-8: "+
			"channels of --decode PATTERN=base64, and of PATTERN=none, which no stream can have, take any bytes", ErrEventData, i, e.Data[i])
	}
	if e.Retry < 0 || e.Retry%time.Millisecond != 0 {
		return fmt.Errorf("%w: %v, want a positive whole number of milliseconds", ErrEventRetry, e.Retry)
	}
	return nil
}

// invalidUTF8 returns the index of the first byte of p that is not part of a
// valid encoding, -1 when all are.
func invalidUTF8(p []byte) int {
	if utf8.Valid(p) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
}

// appendFields appends the fields of e, each on a line of its own, without the
// blank line that ends an event. Data is split at CRLF, CR and LF into one
// data line each; a client joins them with LF (WHATWG HTML, 9.2.6).
func (e Event) appendFields(dst []byte) []byte {
	if e.Type != "" {
		dst = append(dst, "event: "...)
		dst = append(dst, e.Type...)
		dst = append(dst, '\n')
	}
	if e.Retry > 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, e.Retry.Milliseconds(), 10)
		dst = append(dst, '\n')
	}
	for rest, more := e.Data, true; more; {
		var line []byte
		line, rest, more = bytes.Cut(rest, lf)
		if more {
			line = bytes.TrimSuffix(line, cr)
		}
		for broken := true; broken; {
			var part []byte
			part, line, broken = bytes.Cut(line, cr)
			dst = append(dst, "data: "...)
			dst = append(dst, part...)
			dst = append(dst, '\n')
		}
	}
	return dst
}

// fieldsSize bounds the length of what appendFields appends, closely: the wire
// form is kept.
func (e Event) fieldsSize() int {
	breaks := bytes.Count(e.Data, lf)
	if n := bytes.Count(e.Data, cr); n > 0 {
		breaks += n - bytes.Count(e.Data, crlf)
	}
	size := len(e.Data) + (1+breaks)*len("data: \n")
	if e.Type != "" {
		size += len("event: \n") + len(e.Type)
	}
	if e.Retry > 0 {
		size += len("retry: \n") + maxDecimal
	}
	return size
}

// What ends a line.
var cr, lf, crlf = []byte("\r"), []byte("\n"), []byte("\r\n")

// fieldsOverhead is what the fields of an event whose data is one line take beside data,
// type and id, with the blank line.
const fieldsOverhead = len("event: \nretry: \ndata: \n\n") + maxDecimal

// maxDecimal is the length of the longest 64-bit integer in decimal.
const maxDecimal = 20
