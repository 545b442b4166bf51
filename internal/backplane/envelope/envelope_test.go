package envelope

import (
	"bytes"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"millrace/channels"
)

func TestAppend(t *testing.T) {
	for _, tt := range []struct {
		ev   channels.Event
		want string
	}{
		{channels.Event{Data: []byte(`{"foo":"bar"}`)}, `{"foo":"bar"}`},
		{channels.Event{Data: []byte("")}, ""},
		{channels.Event{Data: []byte("a\nb"), Type: "größer"}, "\x1emillrace {\"event\":\"größer\"}\na\nb"},
		{channels.Event{Data: []byte("x"), Retry: 1500 * time.Millisecond}, "\x1emillrace {\"retry\":1500}\nx"},
		{channels.Event{Data: []byte("\x1emillrace {}\nx")}, "\x1emillrace {}\n\x1emillrace {}\nx"},
		{channels.Event{Data: []byte("\x1e\n")}, "\x1e\n"},
	} {
		if got := string(Append(nil, tt.ev)); got != tt.want {
			t.Errorf("Append(%+v) = %q, want %q", tt.ev, got, tt.want)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, payload := range []string{"\x1emillrace ", "\x1emillrace {}", "\x1emillrace {\nx", "\x1emillrace {\"event\":1}\nx",
		"\x1emillrace {\"base64\":true}\n?", "\x1emillrace {\"base64\":true}\nHm1pbGxyYWNlIHsiYmFzZTY0Ijp0cnVlfQp4"} {
		if _, err := Parse([]byte(payload)); !errors.Is(err, ErrMalformed) {
			t.Errorf("Parse(%q): error %v, want %v", payload, err, ErrMalformed)
		}
	}
}

// Ensure that every event comes out of its envelope as it went in.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("data"), "type", uint32(0))
	f.Add([]byte("\x1emillrace {}\n"), "", uint32(1))
	f.Add([]byte("\n\n"), "<&>\u2028", uint32(1<<32-1))
	f.Add([]byte("\x1emillrace {\"base64\":true}\nAA=="), "", uint32(0))
	f.Add([]byte("\xff\x00"), "type", uint32(0))
	binary := channels.NewBroker(channels.Options{Payload: func(string) channels.Payload { return channels.Binary }})
	f.Fuzz(func(t *testing.T, data []byte, typ string, retry uint32) {
		ev := channels.Event{Data: data, Type: typ, Retry: time.Duration(retry) * time.Millisecond}
		if _, err := binary.Feed().Prepare("x", ev, 0); err != nil {
			return
		}
		text := Text(Append(nil, ev))
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			t.Errorf("%+v travels as %q, which is no text", ev, text)
		}
		if got, err := Parse(text); err != nil || string(got.Data) != string(data) || got.Type != typ || got.Retry != ev.Retry {
			t.Errorf("%+v comes out of its text as %+v, %v", ev, got, err)
		}
		got, err := Parse(Append(nil, ev))
		if err != nil || string(got.Data) != string(data) || got.Type != typ || got.Retry != ev.Retry {
			t.Errorf("%+v comes out as %+v, %v", ev, got, err)
		}
	})
}

// Ensure that a retry that no duration holds is refused, and not taken for another.
func TestHugeRetry(t *testing.T) {
	for _, retry := range []string{"-1", "1099511627777", "9223372036854775807", "18446744073709"} {
		if ev, err := Parse([]byte(mark + `{"retry":` + retry + "}\nx")); err == nil {
			t.Errorf("retry %s comes out as %v, want an error", retry, ev.Retry)
		}
	}
}
