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

// DefaultMaxEventBytes is the largest event unless Options say otherwise, in
// bytes: clients whose lines and events are bounded by 64 KiB, as the usual ones in
// Go are, can take it. A larger one would end them at every resume again.
const DefaultMaxEventBytes = 60 << 10

// Errors of an event that cannot be put on the wire.
var (
	ErrEventTooLarge = errors.New("event too large")
	ErrEventData     = errors.New("bad event data")
	ErrEventType     = errors.New("bad event type")
	ErrEventRetry    = errors.New("bad retry")
)

// Event is one event as its publisher hands it in. Data is text of any number
// of lines, in UTF-8: clients replace other bytes of a stream by U+FFFD.
// Type is the name that EventSource dispatches it under ("" is "message").
// Retry, when not 0, sets the client's reconnection delay, in whole
// milliseconds.
type Event struct {
	Data  []byte
	Type  string
	Retry time.Duration
}

// ownTypes is the beginning of the types of millrace's own events.
const ownTypes = "millrace."

// check reports why e cannot be an event of at most max bytes on a channel of text, or
// of any bytes. tail is that of checkWire.
func (e *Event) check(max, tail int, text bool) error {
	if len(e.Data)+len(e.Type) > max {
		return e.tooLarge(len(e.Data), max, tail)
	}
	if e.Type != "" {
		if err := checkType(e.Type); err != nil {
			return err
		}
	}
	if text && !utf8.Valid(e.Data) {
		i := invalidUTF8(e.Data)
		return fmt.Errorf("%w: byte %d (%#02x) is not valid UTF-8: "+
			"channels of --decode PATTERN=base64, and of PATTERN=none, which no stream can have, take any bytes", ErrEventData, i, e.Data[i])
	}
	if e.Retry < 0 || e.Retry%time.Millisecond != 0 {
		return fmt.Errorf("%w: %v, want a positive whole number of milliseconds", ErrEventRetry, e.Retry)
	}
	return nil
}

func checkType(name string) error {
	if i := strings.IndexAny(name, "\r\n\x00"); i >= 0 {
		return fmt.Errorf("%w: %.64q has %q at byte %d, want no line break and no NUL", ErrEventType, name, name[i], i)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: %.64q is not valid UTF-8", ErrEventType, name)
	}
	if strings.HasPrefix(name, ownTypes) {
		return fmt.Errorf("%w: %.64q begins with %q, which marks the events of millrace itself", ErrEventType, name, ownTypes)
	}
	return nil
}

// checkWire reports why e, whose data has been decoded of so many bytes that were
// published, cannot go to streams: its wire form may have max bytes, with tail bytes after
// the fields. Each line takes seven bytes there beside its own.
func (e *Event) checkWire(published, max, tail int) error {
	perByte := len("data: \n") // were each byte the end of a line; most events fit all the same
	most := perByte*(len(e.Data)+1) + len("event: \n") + len(e.Type) + len("retry: \n") + maxDecimal
	if most+tail > max && e.fieldsSize()+tail > max {
		return e.tooLarge(published, max, tail)
	}
	return nil
}

func (e *Event) tooLarge(published, max, tail int) error {
	return fmt.Errorf("%w: %d bytes, %d in a stream, want at most %d of either (--max-event-bytes)", ErrEventTooLarge, published+len(e.Type), e.fieldsSize()+tail, max)
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
func (e *Event) appendFields(dst []byte) []byte {
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
	if e.oneLine() {
		dst = append(dst, "data: "...)
		dst = append(dst, e.Data...)
		return append(dst, '\n')
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

// fieldsSize is the length of the fields that appendFields appends, with the longest
// Retry.
func (e *Event) fieldsSize() int {
	ends, lines := 0, 1 // bytes that end lines, and lines
	if !e.oneLine() {
		lfs, crs := bytes.Count(e.Data, lf), bytes.Count(e.Data, cr)
		ends = lfs + crs
		lines += ends - bytes.Count(e.Data, crlf)
	}
	size := len(e.Data) - ends + lines*len("data: \n")
	if e.Type != "" {
		size += len("event: \n") + len(e.Type)
	}
	if e.Retry > 0 {
		size += len("retry: \n") + maxDecimal
	}
	return size
}

// oneLine tells whether the data is one line, as most is.
func (e *Event) oneLine() bool {
	return bytes.IndexByte(e.Data, '\n') < 0 && bytes.IndexByte(e.Data, '\r') < 0
}

// The ends of a line.
var cr, lf, crlf = []byte("\r"), []byte("\n"), []byte("\r\n")

// maxDecimal is the length of the longest 64-bit integer in decimal.
const maxDecimal = 20
