package channels

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	sse "github.com/tmaxmax/go-sse"
)

// publishOne returns the message that ev becomes in a broker with one
// subscriber.
func publishOne(t *testing.T, opts Options, ev Event) *Message {
	t.Helper()
	b := NewBroker(opts)
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/x"))
	if n, err := b.Publish("/x", ev); n.Receivers != 1 || err != nil {
		t.Fatalf("Publish(%.100q) = %v, %v, want 1, nil", ev.Data, n, err)
	}
	return in.Take(nil)[0]
}

func TestWireForm(t *testing.T) {
	for _, tt := range []struct {
		name string
		ev   Event
		want string // without id and blank line
	}{
		{"json", Event{Data: []byte(`{"foo":"bar"}`)}, "data: {\"foo\":\"bar\"}\n"},
		{"no data", Event{}, "data: \n"},
		{"empty data", Event{Data: []byte{}}, "data: \n"},
		{"LF", Event{Data: []byte("a\nb")}, "data: a\ndata: b\n"},
		{"CR", Event{Data: []byte("a\rb")}, "data: a\ndata: b\n"},
		{"CRLF", Event{Data: []byte("a\r\nb")}, "data: a\ndata: b\n"},
		{"LF CR is two breaks", Event{Data: []byte("a\n\rb")}, "data: a\ndata: \ndata: b\n"},
		{"CR CRLF is two breaks", Event{Data: []byte("a\r\r\nb")}, "data: a\ndata: \ndata: b\n"},
		{"CRLF CR LF", Event{Data: []byte("\r\n\r\n\n")}, "data: \ndata: \ndata: \ndata: \n"},
		{"mixed", Event{Data: []byte("a\rb\nc\r\nd\re")}, "data: a\ndata: b\ndata: c\ndata: d\ndata: e\n"},
		{"blank lines", Event{Data: []byte("a\n\n\nb")}, "data: a\ndata: \ndata: \ndata: b\n"},
		{"trailing LF", Event{Data: []byte("a\n")}, "data: a\ndata: \n"},
		{"trailing CR", Event{Data: []byte("a\r")}, "data: a\ndata: \n"},
		{"trailing CRLF", Event{Data: []byte("a\r\n")}, "data: a\ndata: \n"},
		{"leading break", Event{Data: []byte("\na")}, "data: \ndata: a\n"},
		{"leading space", Event{Data: []byte(" a\n  b")}, "data:  a\ndata:   b\n"},
		{"looks like fields", Event{Data: []byte("event: x\n\nid: 7\n:c")}, "data: event: x\ndata: \ndata: id: 7\ndata: :c\n"},
		{"NUL", Event{Data: []byte("a\x00b")}, "data: a\x00b\n"},
		{"BOM", Event{Data: []byte("\ufeffa")}, "data: \ufeffa\n"},
		{"other separators are no breaks", Event{Data: []byte("a\u2028b\u0085c\vd")}, "data: a\u2028b\u0085c\vd\n"},
		{"type", Event{Type: "greeting", Data: []byte("a")}, "event: greeting\ndata: a\n"},
		{"type with space and colon", Event{Type: " a: b", Data: []byte("a")}, "event:  a: b\ndata: a\n"},
		{"retry", Event{Retry: 1500 * time.Millisecond, Data: []byte("a")}, "retry: 1500\ndata: a\n"},
		{"longest retry", Event{Retry: math.MaxInt64 / time.Millisecond * time.Millisecond}, "retry: 9223372036854\ndata: \n"},
		{"all", Event{Type: "t", Retry: time.Second, Data: []byte("a\nb")}, "event: t\nretry: 1000\ndata: a\ndata: b\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := publishOne(t, Options{}, tt.ev).Wire, tt.want+"\n"; string(got) != want {
				t.Errorf("%+v without id\n got %q\nwant %q", tt.ev, got, want)
			}
			got := publishOne(t, Options{History: 1, Epoch: "e7"}, tt.ev).Wire
			if want := tt.want + "id: e7-1\n\n"; string(got) != want {
				t.Errorf("%+v with id\n got %q\nwant %q", tt.ev, got, want)
			}
		})
	}
}

// Ensure that the memory for a wire form is taken once, and little more than
// it needs.
func TestFieldsSize(t *testing.T) {
	for _, ev := range []Event{
		{},
		{Data: []byte("a")},
		{Data: bytes.Repeat([]byte("\n"), 1000)},
		{Data: bytes.Repeat([]byte("\r"), 1000)},
		{Data: bytes.Repeat([]byte("\r\n"), 1000)},
		{Data: bytes.Repeat([]byte("\n\r"), 1000)},
		{Data: bytes.Repeat([]byte("ab\r\n\r"), 1000), Type: "type", Retry: math.MaxInt64 / 1e6 * 1e6},
	} {
		size, length := ev.fieldsSize(), len(ev.appendFields(nil))
		if slack := 1 + maxDecimal + 2*length/7; size < length || size > length+slack {
			t.Errorf("%.20q type %q: fieldsSize() = %d, want %d to %d", ev.Data, ev.Type, size, length, length+slack)
		}
	}
}

const (
	// largestTail is what may follow an event's fields in a stream: an id line and
	// the blank line.
	largestTail = len("id: -\n") + epochSize + maxDecimal + len("\n")
	// lineOverhead is what data of one line takes beside itself, and largestData the
	// most that is an event by default.
	lineOverhead = len("data: \n") + largestTail
	largestData  = DefaultMaxEventBytes - lineOverhead
)

func TestEventRefuses(t *testing.T) {
	const limit = 100
	long := strings.Repeat("t", 80)
	for _, tt := range []struct {
		name string
		ev   Event
		kind error // nil: accepted
		want string
	}{
		{"data at the limit", Event{Data: make([]byte, limit-44)}, nil, ""},
		{"type at the limit", Event{Type: strings.Repeat("t", limit-52)}, nil, ""},
		{"both at the limit", Event{Type: "ten bytes.", Data: make([]byte, limit-62)}, nil, ""},
		{"lines at the limit", Event{Data: []byte("\r\n1\r2\n3\r\r\n" + long[:18])}, nil, ""},
		{"data above in a stream", Event{Data: make([]byte, limit-43)}, ErrEventTooLarge, "event too large: 57 bytes, 101 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"type above in a stream", Event{Type: strings.Repeat("t", limit-51)}, ErrEventTooLarge, "event too large: 49 bytes, 101 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"both above in a stream", Event{Type: "ten bytes.", Data: make([]byte, limit-61)}, ErrEventTooLarge, "event too large: 49 bytes, 101 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"lines above in a stream", Event{Data: []byte("\n\n\n\n\n\n\n\n\n")}, ErrEventTooLarge, "event too large: 9 bytes, 107 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"data above", Event{Data: make([]byte, limit+1)}, ErrEventTooLarge, "event too large: 101 bytes, 145 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"type above", Event{Type: strings.Repeat("t", limit+1)}, ErrEventTooLarge, "event too large: 101 bytes, 153 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"both above", Event{Type: "ten bytes.", Data: make([]byte, limit-9)}, ErrEventTooLarge, "event too large: 101 bytes, 153 in a stream, want at most 100 of either (--max-event-bytes)"},
		{"type with LF", Event{Type: "a\nb"}, ErrEventType, `bad event type: "a\nb" has '\n' at byte 1, want no line break and no NUL`},
		{"type with CR", Event{Type: "a\r"}, ErrEventType, `bad event type: "a\r" has '\r' at byte 1, want no line break and no NUL`},
		{"type with NUL", Event{Type: "\x00"}, ErrEventType, `bad event type: "\x00" has '\x00' at byte 0, want no line break and no NUL`},
		{"long type with LF", Event{Type: long + "\n"}, ErrEventType, `bad event type: "` + long[:64] + `" has '\n' at byte 80, want no line break and no NUL`},
		{"type of our own", Event{Type: "millrace.gap"}, ErrEventType, `bad event type: "millrace.gap" begins with "millrace.", which marks the events of millrace itself`},
		{"type not UTF-8", Event{Type: "a\xc3"}, ErrEventType, `bad event type: "a\xc3" is not valid UTF-8`},
		{"data not UTF-8", Event{Data: []byte("ä\xff")}, ErrEventData, "bad event data: byte 2 (0xff) is not valid UTF-8: channels of --decode PATTERN=base64, and of PATTERN=none, which no stream can have, take any bytes"},
		{"data cut in a rune", Event{Data: []byte("ab\xe2\x82")}, ErrEventData, "bad event data: byte 2 (0xe2) is not valid UTF-8: channels of --decode PATTERN=base64, and of PATTERN=none, which no stream can have, take any bytes"},
		{"data with U+FFFD", Event{Data: []byte("\ufffd")}, nil, ""},
		{"least retry", Event{Retry: time.Millisecond}, nil, ""},
		{"negative retry", Event{Retry: -time.Second}, ErrEventRetry, "bad retry: -1s, want a positive whole number of milliseconds"},
		{"retry of microseconds", Event{Retry: 1500 * time.Microsecond}, ErrEventRetry, "bad retry: 1.5ms, want a positive whole number of milliseconds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBroker(Options{MaxEventBytes: limit, History: 1})
			n, err := b.Publish("/x", tt.ev)
			switch {
			case n.Receivers != 0 || !errors.Is(err, tt.kind):
				t.Errorf("Publish(%+v) = %+v, %v, want 0, %v", tt.ev, n, err, tt.kind)
			case err != nil && err.Error() != tt.want:
				t.Errorf("Publish(%+v)\n got %s\nwant %s", tt.ev, err, tt.want)
			}
			if (b.seq == 0) != (tt.kind != nil) {
				t.Errorf("Publish(%+v) left the sequence at %d", tt.ev, b.seq)
			}
		})
	}
}

// FuzzWire holds that what is published is what clients dispatch, in a stream
// where other events stand around it, or is refused for a good reason.
func FuzzWire(f *testing.F) {
	f.Add([]byte("a\r\n\n b\r"), "type", int64(10), true)
	f.Fuzz(func(t *testing.T, data []byte, typ string, retry int64, ids bool) {
		opts := Options{Epoch: "E"}
		if ids {
			opts.History = 1
		}
		b := NewBroker(opts)
		in := b.NewInbox(func() {})
		in.Attach(nil, []byte("/x"))
		publish := func(ev Event) error {
			_, err := b.Publish("/x", ev)
			return err
		}
		ev := Event{Data: data, Type: typ, Retry: time.Duration(retry) * time.Millisecond}
		good := utf8.Valid(data) && utf8.ValidString(typ) && !strings.ContainsAny(typ, "\x00\r\n") &&
			ev.Retry >= 0 && ev.Retry%time.Millisecond == 0 && ev.fieldsSize()+b.tailSize <= DefaultMaxEventBytes
		before := publish(Event{Data: []byte("before"), Type: "other"})
		err := publish(ev)
		after := publish(Event{})
		if (err == nil) != good || before != nil || after != nil {
			t.Fatalf("Publish(%q, type %q, retry %v) = %v", data, typ, ev.Retry, err)
		}
		var stream []byte
		for _, m := range in.Take(nil) {
			if len(m.Wire) > DefaultMaxEventBytes {
				t.Errorf("%d bytes in a stream, want at most %d: %.100q", len(m.Wire), DefaultMaxEventBytes, m.Wire)
			}
			stream = append(stream, m.Wire...)
		}

		id := func(s string) string {
			if ids {
				return s
			}
			return ""
		}
		want := []dispatched{{"other", "before", id("E-1")}, {"message", "", id("E-2")}}
		wantRetry := int64(-1)
		if good {
			lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
			e := dispatched{typ, lines, id("E-2")}
			if typ == "" {
				e.Type = "message"
			}
			want = []dispatched{want[0], e, {"message", "", id("E-3")}}
			if ev.Retry > 0 {
				wantRetry = ev.Retry.Milliseconds()
			}
		}
		got, gotRetry := decode(stream)
		compare(t, "an EventSource", stream, got, want)
		if gotRetry != wantRetry {
			t.Errorf("retry %d, want %d\nin %q", gotRetry, wantRetry, stream)
		}
		compare(t, "go-sse", stream, decodeGoSSE(t, stream), want)
	})
}

// decodeGoSSE is decode by a parser that nobody here wrote, with the bound that it
// has on an event by default.
func decodeGoSSE(t *testing.T, stream []byte) (events []dispatched) {
	for e, err := range sse.Read(bytes.NewReader(stream), nil) {
		if err != nil {
			t.Fatalf("go-sse: %v\nin %q", err, stream)
		}
		if e.Type == "" {
			e.Type = "message"
		}
		events = append(events, dispatched{e.Type, e.Data, e.LastEventID})
	}
	return events
}

func compare(t *testing.T, who string, stream []byte, got, want []dispatched) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s dispatches\n     %q\nwant %q\nof %q", who, got, want, stream)
		}
	}
}
