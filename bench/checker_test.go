package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// follow feeds pieces to a checker and returns what it found.
func follow(first uint64, size int, pieces ...string) (events, pings int, err error) {
	c := checker{due: first}
	for _, p := range pieces {
		for p := []byte(p); len(p) > 0; {
			n, got, err := c.next(p, size)
			if err != nil {
				return events, pings, err
			}
			switch p = p[n:]; got {
			case tokenEvent:
				events++
			case tokenPing:
				pings++
			}
		}
	}
	return events, pings, nil
}

func wire(n uint64, size int) string { return string(AppendEvent(nil, n, size)) }

func TestPayload(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		size int
		want string
	}{
		{0, 1, "0"},
		{7, 1, "7"},
		{1234, 1, "1234"},
		{1234, 4, "1234"},
		{1234, 5, "1234 "},
		{3, 6, "3 fghi"},
		{62, 6, "62 bcd"},
	} {
		if got := string(AppendPayload(nil, c.n, c.size)); got != c.want {
			t.Errorf("payload of event %d, %d bytes: %q, want %q", c.n, c.size, got, c.want)
		}
	}
	if got := AppendPayload([]byte("kept"), 5, 3000); len(got) != 3004 || !bytes.HasPrefix(got, []byte("kept5 ")) {
		t.Errorf("%d bytes that begin with %.8q, want 3004 with %q", len(got), got, "kept5 ")
	}
}

func TestCheckerFinds(t *testing.T) {
	const size = 8
	good := wire(5, size)
	for _, c := range []struct {
		name, stream  string
		events, pings int
		err           error
	}{
		{"events", good + wire(6, size) + wire(7, size), 3, 0, nil},
		{"a number longer than the size", wire(5, 1), 0, 0, ErrGarbled},
		{"greeting", ":\n\n" + good, 1, 0, nil},
		{"greeting with retry", ":\nretry: 3000\n\n" + good, 1, 0, nil},
		{"start", ":\nretry: 3000\nevent: millrace.start\ndata: {\"resumed\":false,\"after\":\"a-4\"}\nid: a-4\n\n" + good, 1, 0, nil},
		{"gap", "event: millrace.gap\ndata: {}\n\n" + good, 1, 0, nil},
		{"a type that begins like those of millrace", "event: millrace\n" + good + "event: mill\n" + wire(6, size), 2, 0, nil},
		{"no number after millrace's own", "event: millrace.gap\ndata: x\n\ndata: x\n\n", 0, 0, ErrGarbled},
		{"pings", ":keepalive\n\n:keepalive\n\n" + good + ":keepalive\n\n", 1, 3, nil},
		{"other fields", "event: x\nid: a-1\n" + good + "id: a-2\n" + wire(6, size), 2, 0, nil},
		{"id behind the data", strings.TrimSuffix(good, "\n") + "id: a-1\n\n", 1, 0, nil},
		{"unfinished", good + "data: 6 i", 1, 0, nil},
		{"lost", good + wire(7, size), 1, 0, ErrLost},
		{"lost at once", wire(6, size), 0, 0, ErrLost},
		{"twice", good + good, 1, 0, ErrDuplicate},
		{"not yet due", wire(4, size), 0, 0, ErrDuplicate},
		{"empty data", "data: \n\n", 0, 0, ErrGarbled},
		{"no data", "data\n\n", 0, 0, ErrGarbled},
		{"text", "data: five\n\n", 0, 0, ErrGarbled},
		{"leading zero", "data: 05 hijk\n\n", 0, 0, ErrGarbled},
		{"number too long", "data: 12345678901234567890\n\n", 0, 0, ErrGarbled},
		{"short filling", "data: 5 hij\n\n", 0, 0, ErrGarbled},
		{"long filling", "data: 5 hijklmn\n\n", 0, 0, ErrGarbled},
		{"no filling", "data: 5\n\n", 0, 0, ErrGarbled},
		{"two lines of data", "data: 5 hijklm\ndata: 5 hijklm\n\n", 0, 0, ErrGarbled},
		{"unknown field", "date: 5\n\n", 0, 0, ErrGarbled},
		{"blank line", good + "\n", 1, 0, ErrGarbled},
		{"cut event", good[3:], 0, 0, ErrGarbled},
		{"HTTP", "HTTP/1.1 200 OK\r\n", 0, 0, ErrGarbled},
	} {
		events, pings, err := follow(5, size, c.stream)
		if events != c.events || pings != c.pings || !errors.Is(err, c.err) {
			t.Errorf("%s: %q: %d events, %d pings, %v; want %d, %d, %v", c.name, c.stream, events, pings, err, c.events, c.pings, c.err)
		}
		for i := range c.stream {
			if e, p, err := follow(5, size, c.stream[:i], c.stream[i:]); e != c.events || p != c.pings || !errors.Is(err, c.err) {
				t.Fatalf("%s: %q split at %d: %d events, %d pings, %v; want %d, %d, %v", c.name, c.stream, i, e, p, err, c.events, c.pings, c.err)
			}
		}
	}
}

// Every single byte of an event's lines matters: changed, left out or doubled,
// it does not pass, and neither does an event that is left out or doubled.
func TestCheckerMissesNoByte(t *testing.T) {
	for _, size := range []int{1, 4, 30, 200} {
		stream := wire(1000, size) + wire(1001, size) + wire(1002, size) + wire(1003, size)
		want, _, err := follow(1000, size, stream)
		if want != 4 || err != nil {
			t.Fatalf("size %d: %d events, %v", size, want, err)
		}
		sound := func(s string) bool {
			events, _, err := follow(1000, size, s)
			return err == nil && events == 4
		}
		for i := range stream {
			for _, b := range []byte{'0', 'a', ' ', ':', '\n', stream[i] ^ 1, stream[i] ^ 0x80} {
				if changed := stream[:i] + string(b) + stream[i+1:]; b != stream[i] && sound(changed) {
					t.Errorf("size %d: passed with byte %d %q instead of %q: %q", size, i, b, stream[i], changed)
				}
			}
			if cut := stream[:i] + stream[i+1:]; sound(cut) {
				t.Errorf("size %d: passed without byte %d %q: %q", size, i, stream[i], cut)
			}
			if doubled := stream[:i+1] + stream[i:]; sound(doubled) {
				t.Errorf("size %d: passed with byte %d %q doubled: %q", size, i, stream[i], doubled)
			}
		}
	}
}

// Whatever the pieces are that a stream comes in, the findings are the same.
func TestCheckerInPieces(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		size := 1 + r.IntN(1200)
		var stream bytes.Buffer
		events, pings := r.IntN(20), 0
		for n := range events {
			if r.IntN(4) == 0 {
				stream.WriteString(":keepalive\n\n")
				pings++
			}
			fmt.Fprintf(&stream, "id: epoch-%d\n%s", n, wire(uint64(n), size))
		}
		var pieces []string
		for stream.Len() > 0 {
			pieces = append(pieces, string(stream.Next(1+r.IntN(100))))
		}
		e, p, err := follow(0, size, pieces...)
		if e != events || p != pings || err != nil {
			t.Fatalf("seed %d, size %d: %d events, %d pings, %v; want %d, %d", seed, size, e, p, err, events, pings)
		}
	}
}

// Whatever comes, a checker finds the same in one piece and byte by byte.
func FuzzChecker(f *testing.F) {
	f.Add(":\n\n"+wire(5, 1)+wire(6, 1), 1)
	f.Add(":\nevent: millrace.start\ndata: {}\nid: a-4\n\n"+wire(5, 1), 1)
	f.Add("id: a-1\n"+wire(5, 30)+":keepalive\n\n"+wire(6, 30), 30)
	f.Add(wire(5, 700)+wire(5, 700), 700)
	f.Add("data: 5\ndata: 5\n\n", 1)
	f.Fuzz(func(t *testing.T, stream string, size int) {
		size = 1 + int(uint(size)%1024)
		events, pings, err := follow(5, size, stream)
		e, p, err2 := follow(5, size, strings.Split(stream, "")...)
		if e != events || p != pings || fmt.Sprint(err) != fmt.Sprint(err2) && errors.Unwrap(err) != errors.Unwrap(err2) {
			t.Errorf("%q, size %d: in one piece %d events, %d pings, %v; byte by byte %d, %d, %v", stream, size, events, pings, err, e, p, err2)
		}
		// What it lets pass has the data that is due, whatever else there is.
		due := uint64(5)
		for line := range strings.Lines(stream) {
			if due == 5+uint64(events) {
				break
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if want := string(AppendPayload(nil, due, size)) + "\n"; data != want {
					t.Errorf("%q, size %d: %d events found, but event %d is %q, want %q", stream, size, events, due, data, want)
				}
				due++
			}
		}
	})
}

func TestCheckerAllocatesNothing(t *testing.T) {
	const size = 100
	var stream []byte
	for n := range uint64(10) {
		stream = AppendEvent(append(stream, ":keepalive\n\n"...), n, size)
	}
	if n := testing.AllocsPerRun(100, func() {
		c := checker{}
		for p := stream; len(p) > 0; {
			n, _, err := c.next(p, size)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkChecker(b *testing.B) {
	const size, events = 24, 100
	var stream []byte
	for n := range uint64(events) {
		stream = AppendEvent(stream, n, size)
	}
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		c := checker{}
		for p := stream; len(p) > 0; {
			n, _, err := c.next(p, size)
			if err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
