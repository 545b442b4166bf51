// Package envelope is the form in which an event that is more than its data
// travels through an engine whose payloads are data alone, such as those that
// Rails publishes and reads.
//
// Data by itself stands for itself, byte for byte. An event with a type or a
// retry is put in an envelope: a record separator (U+001E), the word millrace, a
// JSON object on the rest of the line, and the data from the next line on. Data
// that begins as an envelope does is put in one too, so that nothing is taken for
// what it is not.
package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"millrace/channels"
)

// mark is what every envelope begins with. It is not the beginning of JSON, nor
// of HTML.
const mark = "\x1emillrace "

// ErrMalformed is wrapped by errors about payloads that begin as an envelope and
// are none.
var ErrMalformed = errors.New("malformed envelope")

// fields is the JSON of an envelope.
type fields struct {
	Event string `json:"event,omitempty"`
	Retry int64  `json:"retry,omitempty"` // milliseconds
}

// Append appends the payload that stands for ev.
func Append(dst []byte, ev channels.Event) []byte {
	if ev.Type == "" && ev.Retry == 0 && !bytes.HasPrefix(ev.Data, []byte(mark)) {
		return append(dst, ev.Data...)
	}
	head, err := json.Marshal(fields{ev.Type, ev.Retry.Milliseconds()})
	if err != nil {
		panic(err) // a string and a number
	}
	dst = append(dst, mark...)
	dst = append(dst, head...)
	dst = append(dst, '\n')
	return append(dst, ev.Data...)
}

// Parse returns the event that a payload stands for. Its data is part of payload.
func Parse(payload []byte) (channels.Event, error) {
	rest, ok := bytes.CutPrefix(payload, []byte(mark))
	if !ok {
		return channels.Event{Data: payload}, nil
	}
	head, data, ok := bytes.Cut(rest, []byte("\n"))
	var f fields
	if !ok {
		return channels.Event{}, fmt.Errorf("%w: %.64q has one line, want two or more", ErrMalformed, payload)
	}
	if err := json.Unmarshal(head, &f); err != nil {
		return channels.Event{}, fmt.Errorf("%w: %.64q: %w", ErrMalformed, payload, err)
	}
	return channels.Event{Data: data, Type: f.Event, Retry: time.Duration(f.Retry) * time.Millisecond}, nil
}
