package bench

import (
	"bytes"
	"errors"
	"fmt"
)

// Errors in the bytes of a stream.
var (
	ErrLost      = errors.New("events lost")
	ErrDuplicate = errors.New("event repeated")
	ErrGarbled   = errors.New("garbled stream")
)

// checker checks the body of one event stream, in pieces of any size:
// that it is events with the payloads of AppendPayload, in order and without a
// gap, and otherwise only comments, the events of millrace itself (greetings and
// gaps) and the other fields of the format (WHATWG HTML, 9.2.5), each on a line that
// ends with LF. It has no pointers.
type checker struct {
	due    uint64 // number of the next event
	number uint64 // of the event under way
	pos    int32  // bytes of the present part of the line that were seen
	part   part
	field  field
	has    parts // the parts that the event under way has had
}

// parts are what an event has had, in one byte: a million streams have one each.
type parts uint8

const (
	hasLines parts = 1 << iota // a line, a comment perhaps
	hasData                    // its data
	hasOwn                     // a type of millrace's own
)

// part is the part of a line that the next byte belongs to.
type part uint8

const (
	partStart   part = iota // of a line
	partName                // of a field, with colon and space
	partType                // of an event
	partNumber              // of an event
	partFilling             // of its payload
	partValue               // of another field
	partComment
)

// token is a kind of line that the checker found complete.
type token uint8

const (
	tokenNone token = iota
	tokenEvent
	tokenPing // a comment with text; one without is a greeting
)

type field uint8

const (
	fieldData field = iota
	fieldType
)

// fields are told apart by their first byte.
var fields = [...]string{fieldData: "data: ", fieldType: "event: ", 2: "id: ", 3: "retry: "}

// ownTypes is the beginning of the types of millrace's own events.
const ownTypes = "millrace."

// next looks at p until something is complete, and returns how far it looked
// and what that is. size is that of the payloads. After an error the stream
// cannot be followed further.
func (c *checker) next(p []byte, size int) (n int, got token, err error) {
	for n < len(p) {
		switch c.part {
		case partStart:
			if got, err = c.start(p[n]); got != tokenNone || err != nil {
				return n + 1, got, err
			}
			n++
		case partName:
			if p[n] != fields[c.field][c.pos] {
				return n, tokenNone, fmt.Errorf("%w: %q in the field name %q", ErrGarbled, p[n], fields[c.field])
			}
			n++
			if c.pos++; int(c.pos) == len(fields[c.field]) {
				c.begin(partValue)
				switch {
				case c.field == fieldType:
					c.begin(partType)
				case c.field == fieldData && c.has&hasOwn == 0:
					c.begin(partNumber)
				}
			}
		case partType:
			if p[n] != ownTypes[c.pos] {
				c.begin(partValue)
				continue
			}
			n++
			if c.pos++; int(c.pos) == len(ownTypes) {
				c.has |= hasOwn
				c.begin(partValue)
			}
		case partNumber:
			if err := c.digit(p[n], size); err != nil {
				return n, tokenNone, err
			}
			n++
		case partFilling:
			run, err := c.fill(p[n:], size)
			if err != nil {
				return n, tokenNone, err
			}
			n += run
		case partValue, partComment:
			end := bytes.IndexByte(p[n:], '\n')
			if end < 0 {
				c.pos = 1
				return len(p), tokenNone, nil
			}
			n += end + 1
			ping := c.part == partComment && (c.pos > 0 || end > 0)
			c.begin(partStart)
			if ping {
				return n, tokenPing, nil
			}
		}
	}
	return n, tokenNone, nil
}

func (c *checker) begin(p part) { c.part, c.pos = p, 0 }

// start takes the first byte of a line.
func (c *checker) start(b byte) (token, error) {
	switch b {
	case '\n':
		if c.has&hasLines == 0 {
			return tokenNone, fmt.Errorf("%w: a second blank line", ErrGarbled)
		}
		event := c.has&hasData != 0
		c.has = 0
		if !event {
			return tokenNone, nil
		}
		c.due++
		return tokenEvent, nil
	case ':':
		c.has |= hasLines
		c.begin(partComment)
		return tokenNone, nil
	}
	for f, name := range fields {
		if b == name[0] {
			c.begin(partName)
			c.has, c.field, c.pos = c.has|hasLines, field(f), 1
			return tokenNone, nil
		}
	}
	return tokenNone, fmt.Errorf("%w: a line that begins with %q", ErrGarbled, b)
}

// digit takes the next byte of the number of an event, or the one after it.
func (c *checker) digit(b byte, size int) error {
	switch {
	case '0' <= b && b <= '9' && c.pos < 19 && !(c.pos > 0 && c.number == 0):
		if c.pos == 0 {
			c.number = 0
		}
		c.number = 10*c.number + uint64(b-'0')
		c.pos++
		return nil
	case c.has&hasData != 0:
		return fmt.Errorf("%w: a second line of data in event %d", ErrGarbled, c.due)
	case c.pos == 0 || b != ' ' && b != '\n' || (b == ' ') != (int(c.pos) < size):
		return fmt.Errorf("%w: %q after %d digits of the number of event %d, of %d bytes", ErrGarbled, b, c.pos, c.due, size)
	case c.number > c.due:
		return fmt.Errorf("%w: %d to %d", ErrLost, c.due, c.number-1)
	case c.number < c.due:
		return fmt.Errorf("%w: %d where %d was due", ErrDuplicate, c.number, c.due)
	case b == '\n':
		c.has |= hasData
		c.begin(partStart)
		return nil
	}
	c.part = partFilling
	c.pos++
	return nil
}

// fill takes the next bytes of the filling of an event, or the one after it,
// and returns how many.
func (c *checker) fill(p []byte, size int) (int, error) {
	pos := int(c.pos)
	if pos == size {
		if p[0] != '\n' {
			return 0, fmt.Errorf("%w: %q after the %d bytes of event %d", ErrGarbled, p[0], size, c.number)
		}
		c.has |= hasData
		c.begin(partStart)
		return 1, nil
	}
	want := filling(c.number, pos, min(size-pos, len(p)))
	if string(p[:len(want)]) != want {
		return 0, fmt.Errorf("%w: %.40q at byte %d of event %d, want %.40q", ErrGarbled, p[:len(want)], pos, c.number, want)
	}
	c.pos += int32(len(want))
	return len(want), nil
}
