// Package eventstream reads event streams, as WHATWG HTML 9.2.6 says.
//
// A [Reader] outlives its connections, as an EventSource does. One that is strict is for
// streams of millrace alone: it refuses what the standard has a reader pass over.
package eventstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// MaxEvent bounds the lines of one event together, in bytes. The largest event that
// millrace sends is well below, however many lines it has.
const MaxEvent = 128 << 20

// ErrTooLarge is returned for an event of more than MaxEvent bytes.
var ErrTooLarge = errors.New("event too large")

// ErrStrict is wrapped by what only a strict Reader returns.
var ErrStrict = errors.New("not as millrace writes it")

// Event is what ends with a blank line.
type Event struct {
	ID   string // the last that was told, with this event or before it
	Type string // "" for "message"
	Data string // lines with LF between them

	// Empty tells that there are no lines of data, and an EventSource dispatches nothing:
	// of a comment, an id or a delay alone.
	Empty   bool
	Comment string        // the last, without its colon
	Retry   time.Duration // that was told with it; 0 for none
}

// Reader reads streams one after the other. The zero value is ready for Reset.
type Reader struct {
	LastID string        // of the last event that was whole: what the next stream is to begin after
	Retry  time.Duration // the reconnection delay that was told last
	Strict bool          // what millrace does not write is an ErrStrict
	Raw    io.Writer     // if not nil, gets the bytes of each line once it is whole

	lines lineReader
	begun bool // there has been a line
	data  []byte
}

// Reset has the Reader go on with another stream.
func (r *Reader) Reset(src *bufio.Reader) {
	r.lines = lineReader{r: src, raw: r.lines.raw[:0]}
	r.begun = false
}

// Next returns what comes up to the next blank line. It returns the first error of the
// stream, io.EOF at its end: of an event that is cut short, nothing remains.
func (r *Reader) Next() (Event, error) {
	ev := Event{ID: r.LastID, Empty: true}
	r.data = r.data[:0]
	for size := 0; ; {
		line, err := r.line(MaxEvent - size)
		if err != nil {
			return Event{}, err
		}
		size += len(line)
		if len(line) == 0 {
			r.LastID = ev.ID
			if !ev.Empty {
				ev.Data = string(r.data[:len(r.data)-1])
			}
			return ev, nil
		}
		if !r.take(&ev, line) && r.Strict {
			return Event{}, fmt.Errorf("%w: the line %.100q", ErrStrict, line)
		}
	}
}

// line returns the next line, of at most limit bytes.
func (r *Reader) line(limit int) ([]byte, error) {
	line, err := r.lines.next(limit)
	if r.Raw != nil {
		if _, err := r.Raw.Write(r.lines.raw); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if !r.begun {
		r.begun = true
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return line, nil
}

// take adds a line to ev. It returns false for one that an EventSource passes over.
func (r *Reader) take(ev *Event, line []byte) bool {
	name, value, colon := bytes.Cut(line, []byte{':'})
	if len(name) == 0 && colon {
		ev.Comment = string(value)
		return true
	}
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "data":
		ev.Empty = false
		r.data = append(append(r.data, value...), '\n')
	case "event":
		ev.Type = string(value)
	case "id":
		if bytes.IndexByte(value, 0) >= 0 {
			return false
		}
		ev.ID = string(value)
	case "retry":
		ms, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil {
			return false
		}
		ev.Retry = time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
		r.Retry = ev.Retry
	default:
		return false
	}
	return true
}

// lineReader splits at LF, CRLF and CR, and never waits for what follows a CR.
type lineReader struct {
	r       *bufio.Reader
	raw     []byte // what the last call took from r
	afterCR bool   // an LF now belongs to the line before
}

// next returns the next line, which has at most limit bytes, without its end.
// It is valid until the next call.
func (l *lineReader) next(limit int) ([]byte, error) {
	l.raw = l.raw[:0]
	from := 0
	for {
		c, err := l.r.ReadByte()
		if err != nil {
			return nil, err
		}
		l.raw = append(l.raw, c)
		if c == '\n' && l.afterCR {
			l.afterCR = false
			from = 1
			continue
		}
		l.afterCR = c == '\r'
		switch {
		case c == '\n' || c == '\r':
			return l.raw[from : len(l.raw)-1], nil
		case len(l.raw)-from > limit:
			return nil, fmt.Errorf("%w: want at most %d bytes", ErrTooLarge, MaxEvent)
		}
	}
}
