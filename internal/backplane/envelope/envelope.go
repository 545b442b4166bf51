// Package envelope is the form in which an event that is more than its data
// travels through an engine whose payloads are data alone, such as those that
// Rails publishes and reads.
//
// Data by itself stands for itself, byte for byte. An event with a type or a
// retry is put in an envelope: a record separator (U+001E), the word millrace, a
// JSON object on the rest of the line, and the data from the next line on. Data
// that begins as an envelope does is put in one too, so that no data is taken for an
// envelope. If an engine takes text alone, a payload of other bytes travels as base64 in
// an envelope of its own ([Text]).
package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"millrace/channels"
)

// mark is the beginning of every envelope. It is not the beginning of JSON, nor of HTML.
const mark = "\x1emillrace "

// base64Mark is the head of an envelope with the base64 of a payload.
var base64Mark = []byte(mark + `{"base64":true}` + "\n")

// maxRetry is the longest retry, in milliseconds: a longer one would overflow.
const maxRetry = 1 << 40

// ErrMalformed is wrapped by errors about payloads that begin as an envelope and
// are none.
var ErrMalformed = errors.New("malformed envelope")

// fields is the JSON of an envelope.
type fields struct {
	Event string `json:"event,omitempty"`
	Retry int64  `json:"retry,omitempty"` // milliseconds
	// Base64 tells that the data is the base64 of a payload, and no event's own.
	Base64 bool `json:"base64,omitempty"`
}

// Append appends the payload that stands for ev.
func Append(dst []byte, ev channels.Event) []byte {
	if ev.Type == "" && ev.Retry == 0 && !bytes.HasPrefix(ev.Data, []byte(mark)) {
		return append(dst, ev.Data...)
	}
	head, err := json.Marshal(fields{Event: ev.Type, Retry: ev.Retry.Milliseconds()})
	if err != nil {
		panic(err) // a string and a number
	}
	dst = append(dst, mark...)
	dst = append(dst, head...)
	dst = append(dst, '\n')
	return append(dst, ev.Data...)
}

// Text returns a payload that an engine can carry which takes no other than text in
// UTF-8, without NUL: payload itself, or an envelope with the base64 of it.
func Text(payload []byte) []byte {
	if utf8.Valid(payload) && bytes.IndexByte(payload, 0) < 0 {
		return payload
	}
	return base64.StdEncoding.AppendEncode(bytes.Clone(base64Mark), payload)
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
	if f.Base64 {
		payload, err := base64.StdEncoding.AppendDecode(nil, data)
		if err != nil {
			return channels.Event{}, fmt.Errorf("%w: %.64q: %w", ErrMalformed, data, err)
		}
		if bytes.HasPrefix(payload, base64Mark) {
			return channels.Event{}, fmt.Errorf("%w: base64 within base64", ErrMalformed)
		}
		return Parse(payload)
	}
	if f.Retry < 0 || f.Retry > maxRetry {
		return channels.Event{}, fmt.Errorf("%w: retry %d, want milliseconds, 0 to %d", ErrMalformed, f.Retry, maxRetry)
	}
	return channels.Event{Data: data, Type: f.Event, Retry: time.Duration(f.Retry) * time.Millisecond}, nil
}
