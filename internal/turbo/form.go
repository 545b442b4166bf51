package turbo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace/channels"
)

// ErrForm is wrapped by every refusal to decode a payload.
var ErrForm = errors.New("not of the form that its channel has")

// Form is the way in which a payload on a channel becomes the data of an event.
type Form string

const (
	// Raw data is the payload.
	Raw Form = "raw"
	// JSONString data is the value of a JSON string: the one that Action Cable makes of
	// a text that is broadcast.
	JSONString Form = "json-string"
	// Turbo data is that too, and has a <turbo-stream> in it.
	Turbo Form = "turbo"
	// Base64 data is the base64 of the payload, which may be any bytes.
	Base64 Form = "base64"
	// None is no data at all: the payload, any bytes, is for subscribers of the admin
	// port alone.
	None Form = "none"
)

// Decode returns the data of an event of which payload was published. It may be
// payload itself.
func (f Form) Decode(payload []byte) ([]byte, error) {
	switch f {
	case Raw, None:
		return payload, nil
	case Base64:
		return base64.StdEncoding.AppendEncode(nil, payload), nil
	}
	data, err := decodeString(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: want %s, a JSON string: %w", ErrForm, f, err)
	}
	if f == Turbo && !bytes.Contains(data, []byte("<turbo-stream")) {
		return nil, fmt.Errorf("%w: want turbo, HTML with a <turbo-stream> as a JSON string: %.32q has none", ErrForm, data)
	}
	return data, nil
}

// decodeString returns the value of a JSON string.
func decodeString(text []byte) ([]byte, error) {
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) == 0 || text[0] != '"' {
		return nil, fmt.Errorf("it begins %.16q", text)
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

// Forms are those of channels: the first whose pattern fits, or else Raw.
type Forms []route

// route is the form of the channels whose names fit a pattern.
type route struct {
	pattern channels.Glob
	form    Form
}

// ParseForms reads forms, each as PATTERN=FORM.
func ParseForms(texts []string) (forms Forms, err error) {
	for _, text := range texts {
		i := strings.LastIndexByte(text, '=') // a pattern may have one
		if i <= 0 {
			return nil, fmt.Errorf("%q, want PATTERN=FORM such as '/turbo/*=turbo'", text)
		}
		form := Form(text[i+1:])
		if !slices.Contains([]Form{Raw, JSONString, Turbo, Base64, None}, form) {
			return nil, fmt.Errorf("%q: the form %q, want %s, %s, %s, %s or %s", text, form, Raw, JSONString, Turbo, Base64, None)
		}
		forms = append(forms, route{channels.Glob(text[:i]), form})
	}
	return forms, nil
}

// String returns the forms as ParseForms takes them, with commas between.
func (f Forms) String() string {
	texts := make([]string, len(f))
	for i, r := range f {
		texts[i] = string(r.pattern) + "=" + string(r.form)
	}
	return strings.Join(texts, ",")
}

// of returns the form of a channel.
func (f Forms) of(channel string) Form {
	for _, r := range f {
		if r.pattern.Match(channel) {
			return r.form
		}
	}
	return Raw
}

// Decode decodes a payload by the form of its channel.
func (f Forms) Decode(channel string, payload []byte) ([]byte, error) {
	return f.of(channel).Decode(payload)
}

// Payload returns which payloads a channel of that form takes.
func (f Forms) Payload(channel string) channels.Payload {
	switch f.of(channel) {
	case Base64:
		return channels.Binary
	case None:
		return channels.Unstreamed
	}
	return channels.Text
}
