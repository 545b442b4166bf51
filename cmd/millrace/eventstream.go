package main

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

// maxStreamEvent bounds the lines of one event together, in bytes. The largest
// event that a server takes is well below, however many lines it has.
const maxStreamEvent = 128 << 20

// errEventTooLarge is returned for an event of more than maxStreamEvent bytes.
var errEventTooLarge = errors.New("event too large")

// event is an event as an EventSource dispatches it.
type event struct {
	ID   string `json:"id,omitempty"`    // the last that was told
	Type string `json:"event,omitempty"` // "" for "message"
	Data string `json:"data"`
}

// eventStream reads an event stream as WHATWG HTML, 9.2.6 says. Its fields live
// on from one connection to the next, as those of an EventSource do.
type eventStream struct {
	lastID string
	retry  time.Duration // the reconnection delay
}

// read calls dispatch for every event of r, and copies to raw, unless it is
// nil, the bytes up to there. It returns the first error, io.EOF at the end.
func (s *eventStream) read(r *bufio.Reader, raw io.Writer, dispatch func(event) error) error {
	var (
		next event
		data []byte // of next, with a line break behind every line
		size int    // of its lines
		id   = s.lastID
	)
	lines := lineReader{r: r}
	for first := true; ; first = false {
		line, err := lines.next(maxStreamEvent - size)
		if raw != nil {
			if _, err := raw.Write(lines.raw); err != nil {
				return err
			}
		}
		if err != nil {
			return err // an event without its blank line is none
		}
		if first {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		size += len(line)
		if len(line) == 0 {
			s.lastID = id
			if len(data) > 0 {
				next.ID, next.Data = id, string(data[:len(data)-1])
				if err := dispatch(next); err != nil {
					return err
				}
			}
			next, data, size = event{}, data[:0], 0
			continue
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "data":
			data = append(append(data, value...), '\n')
		case "event":
			next.Type = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 63); err == nil {
				s.retry = time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
			}
		}
	}
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
			return nil, fmt.Errorf("%w: want at most %v", errEventTooLarge, size(maxStreamEvent))
		}
	}
}
