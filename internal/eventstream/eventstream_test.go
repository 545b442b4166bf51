package eventstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// Ensure that streams are read as the standard says, byte by byte too, and that a strict
// reader refuses what is none of millrace's.
func TestStreams(t *testing.T) {
	for _, tt := range []struct {
		stream string
		want   []Event
		strict string // the line that a strict reader refuses
	}{
		{"data: a\n\n", []Event{{Data: "a"}}, ""},
		{"data: a\ndata:  b\ndata\n\n", []Event{{Data: "a\n b\n"}}, ""},
		{"data\n\n", []Event{{}}, ""},
		{"\ufeffdata: a\n\ndata: b\n\n", []Event{{Data: "a"}, {Data: "b"}}, ""},
		{"data: a\r\rdata: b\r\n\r\ndata: c\n\r", []Event{{Data: "a"}, {Data: "b"}, {Data: "c"}}, ""},
		{"id: 1\nevent: x\ndata: a\nretry: 1500\n\ndata: b\n\n", []Event{{ID: "1", Type: "x", Data: "a", Retry: 1500 * time.Millisecond}, {ID: "1", Data: "b"}}, ""},
		{"id: 1\n\nid\ndata: a\n\n", []Event{{ID: "1", Empty: true}, {Data: "a"}}, ""},
		{":keepalive\n\n: other\ndata: a\n\n", []Event{{Comment: "keepalive", Empty: true}, {Comment: " other", Data: "a"}}, ""},
		{"retry: 1s\n\n", []Event{{Empty: true}}, "retry: 1s"},
		{"id: a\x00b\ndata: a\n\n", []Event{{Data: "a"}}, "id: a\x00b"},
		{"Data: a\ndata: b\n\n", []Event{{Data: "b"}}, "Data: a"},
		{" data: a\n\n", []Event{{Empty: true}}, " data: a"},
		{"data: a\n\nid: 2\ndata: cut short\n", []Event{{Data: "a"}}, ""},
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.stream), iotest.OneByteReader(strings.NewReader(tt.stream))} {
			var raw bytes.Buffer
			reader := Reader{Raw: &raw}
			reader.Reset(bufio.NewReader(r))
			var got []Event
			ev, err := reader.Next()
			for ; err == nil; ev, err = reader.Next() {
				got = append(got, ev)
			}
			if !slices.Equal(got, tt.want) || err != io.EOF {
				t.Errorf("%q: %+v, %v, want %+v and the end", tt.stream, got, err, tt.want)
			}
			if last := tt.want[len(tt.want)-1]; reader.LastID != last.ID || raw.String() != tt.stream {
				t.Errorf("%q: last id %q, raw %q, want %q and all of it", tt.stream, reader.LastID, raw.String(), last.ID)
			}
		}
		strict := Reader{Strict: true}
		strict.Reset(bufio.NewReader(strings.NewReader(tt.stream)))
		var err error
		for err == nil {
			_, err = strict.Next()
		}
		if errors.Is(err, ErrStrict) != (tt.strict != "") {
			t.Errorf("%q, strictly: %v, want a refusal of %q", tt.stream, err, tt.strict)
		}
	}
}

// Ensure that the last id and the delay outlive a connection, and nothing else does.
func TestNextConnection(t *testing.T) {
	var r Reader
	r.Reset(bufio.NewReader(strings.NewReader("id: 1\nretry: 5\ndata: a\n\nid: 2\nevent: x\ndata: b\r")))
	for range 2 {
		r.Next()
	}
	r.Reset(bufio.NewReader(strings.NewReader("\ndata: c\n\n")))
	for _, want := range []Event{{ID: "1", Empty: true}, {ID: "1", Data: "c"}} {
		if ev, err := r.Next(); ev != want || err != nil || r.Retry != 5*time.Millisecond {
			t.Errorf("%+v, %v, delay %v, want %+v", ev, err, r.Retry, want)
		}
	}
}

// Ensure that a stream cannot make a reader hold more than an event may have.
func TestTooLarge(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("data: "), zeros{})
	var r Reader
	r.lines = lineReader{r: bufio.NewReader(endless)}
	if _, err := r.line(100); !errors.Is(err, ErrTooLarge) || len(r.lines.raw) > 101 {
		t.Errorf("a line of more than 100 bytes: %v, %d bytes held", err, len(r.lines.raw))
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// naive is what a Reader makes of a whole stream, the simple way.
func naive(text string) (events []Event) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	ev, data := Event{Empty: true}, ""
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			ev.Data = strings.TrimSuffix(data, "\n")
			events = append(events, ev)
			ev, data = Event{ID: ev.ID, Empty: true}, ""
		case name == "":
			ev.Comment = line[1:]
		case name == "data":
			ev.Empty, data = false, data+value+"\n"
		case name == "event":
			ev.Type = value
		case name == "id" && !strings.Contains(value, "\x00"):
			ev.ID = value
		case name == "retry":
			if ms, err := strconv.ParseUint(value, 10, 32); err == nil {
				ev.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return events
}

// Ensure that a Reader makes of any bytes what the simple way makes of them, whole and
// byte by byte.
func FuzzReader(f *testing.F) {
	f.Add("id: 1\nevent: x\ndata: a\ndata:b\r\n\r\n:c\rretry: 5\n\n")
	f.Add("\ufeffdata\n\nid\x00\n\nretry:+5\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		want := naive(text)
		for _, source := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			var r Reader
			r.Reset(bufio.NewReader(source))
			var got []Event
			for ev, err := r.Next(); err == nil; ev, err = r.Next() {
				if ev.Retry > math.MaxUint32*time.Millisecond {
					ev.Retry = want[len(got)].Retry // which the simple way does not take
				}
				got = append(got, ev)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q: %+v, want %+v", text, got, want)
			}
		}
	})
}
