package httpparse

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	used := map[*Error]bool{}
	for _, c := range refusals {
		used[c.want] = true
		if got := outcomeOf(c.in, 0, Limits{}); got.err != c.want {
			t.Errorf("Parse(%q) = %v; want the error %q", clip(c.in), got, c.want)
		}
		checkCuts(t, c.in, Limits{})
		if text := c.want.Error(); len(text) > 80 || strings.ContainsAny(text, "\r\n") {
			t.Errorf("the text %q does not fit a one-line answer", text)
		}
	}
	used[ErrMethodNotAllowed], used[ErrContent] = true, true // TestCheckFetch
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("= &Error{")); n != len(used) {
		t.Errorf("%d of the %d refusals in errors.go have a case", len(used), n)
	}
}

func TestAccepted(t *testing.T) {
	for _, c := range accepted {
		want := outcome{n: len(c.in), request: c.want}
		if got := outcomeOf(c.in, 0, Limits{}); got != want {
			t.Errorf("Parse(%q) =\n%v; want\n%v", c.in, got, want)
		}
		checkCuts(t, c.in, Limits{})
		for _, after := range []string{"x", "\r\n", "\n", "\x00", c.in} {
			if got := outcomeOf(c.in+after, 0, Limits{}); got != want {
				t.Errorf("Parse(%q followed by %q) =\n%v; want\n%v", c.in, after, got, want)
			}
			checkCuts(t, c.in+after, Limits{})
		}
	}
}

// Ensure that everything short of a complete good head is ErrNeedMore.
func TestNeedMore(t *testing.T) {
	for _, c := range accepted {
		for i := range len(c.in) {
			if got := outcomeOf(c.in[:i], 0, Limits{}); got.err != ErrNeedMore {
				t.Errorf("Parse(%q) = %v; want %v", c.in[:i], got, ErrNeedMore)
			}
		}
	}
	for _, in := range []string{"\x00\x00\r", "GARBAGE", "GARBAGE\r", "GET / HTTP/1.1\r\n garbage\r"} {
		if got := outcomeOf(in, 0, Limits{}); got.err != ErrNeedMore {
			t.Errorf("Parse(%q) = %v; want %v: an unfinished line is not judged", in, got, ErrNeedMore)
		}
	}
}

func TestLimits(t *testing.T) {
	head := get("A: 1", "B: 2")
	for _, c := range []struct {
		in   string
		lim  Limits
		want error
	}{
		{head, Limits{MaxBytes: len(head)}, nil},
		{head + "more", Limits{MaxBytes: len(head)}, nil},
		{head, Limits{MaxBytes: len(head) - 1}, ErrHeadTooLarge},
		{head, Limits{MaxBytes: len("GET / HTTP/1.1\r\n")}, ErrHeadTooLarge},
		{head, Limits{MaxBytes: len("GET / HTTP/1.1\r")}, ErrTargetTooLong},
		{head, Limits{MaxBytes: 1}, ErrTargetTooLong},
		{head[:1], Limits{MaxBytes: 1}, ErrTargetTooLong},
		{"", Limits{MaxBytes: 1}, ErrNeedMore},
		{"GARBAGE\r\n", Limits{MaxBytes: 9}, ErrRequestLine},
		{"GARBAGE\r\n", Limits{MaxBytes: 8}, ErrTargetTooLong},
		{head, Limits{MaxHeaders: 3}, nil},
		{head, Limits{MaxHeaders: 2}, ErrTooManyHeaders},
		{get(numbered(MaxHeaders - 1)...), Limits{}, nil},
		{get(numbered(MaxHeaders - 1)...), Limits{MaxHeaders: 1000}, nil},
		{get(numbered(MaxHeaders)...), Limits{MaxHeaders: 1000}, ErrTooManyHeaders},
		{head, Limits{MaxBytes: -1, MaxHeaders: -1}, nil},
		{get("X: " + strings.Repeat("a", 20000)), Limits{MaxBytes: 30000}, nil},
	} {
		if got := outcomeOf(c.in, 0, c.lim); got.err != c.want {
			t.Errorf("Parse(%q) with %+v = %v; want %v", clip(c.in), c.lim, got, c.want)
		}
		if len(c.in) < 1000 {
			checkCuts(t, c.in, c.lim)
		}
	}
}

// An outcome is all that Parse tells, in a form that can be compared.
type outcome struct {
	n       int
	err     error
	request string
}

func (o outcome) String() string {
	if o.err != nil {
		return fmt.Sprintf("error %q", o.err)
	}
	return fmt.Sprintf("%d bytes: %q", o.n, o.request)
}

// outcomeOf parses a copy of in of exactly its size, into a used Request.
func outcomeOf(in string, seen int, lim Limits) outcome {
	old := []byte("left over")
	r := Request{Method: old, Target: old, Host: old, Path: old, Query: old, Minor: 7, ContentLength: 7, Chunked: true, count: 7}
	n, err := Parse(&r, slices.Clip([]byte(in)), seen, lim)
	if err != nil {
		return outcome{n: n, err: err}
	}
	return outcome{n: n, request: describe(&r)}
}

func describe(r *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s 1.%d host=%s path=%s", r.Method, r.Target, r.Minor, r.Host, r.Path)
	if r.Query != nil {
		fmt.Fprintf(&b, " query=%s", r.Query)
	}
	if r.ContentLength != 0 {
		fmt.Fprintf(&b, " length=%d", r.ContentLength)
	}
	if r.Chunked {
		b.WriteString(" chunked")
	}
	b.WriteString(" |")
	for _, h := range r.Headers() {
		fmt.Fprintf(&b, " %s=%s", h.Name, h.Value)
	}
	return b.String()
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}

// checkCuts feeds in in two reads cut at every point, and byte by byte, and wants
// the outcome of the whole each time: either of the longer input or, when that
// came earlier, of the shorter.
func checkCuts(t *testing.T, in string, lim Limits) {
	t.Helper()
	whole := outcomeOf(in, 0, lim)
	cuts := len(in)
	step := max(1, cuts/500) // the inputs at the limits are long and uniform
	for cut := 0; cut <= cuts; cut += step {
		if got := feed(in, lim, cut); got != whole {
			t.Fatalf("Parse(%q) cut at %d = %v; uncut %v", clip(in), cut, got, whole)
		}
	}
	var every []int
	for i := range in {
		every = append(every, i)
	}
	if got := feed(in, lim, every...); got != whole {
		t.Fatalf("Parse(%q) byte by byte = %v; uncut %v", clip(in), got, whole)
	}
}

// feed parses in as it grows to each of the lengths and then to its own, until
// there is an answer.
func feed(in string, lim Limits, lengths ...int) outcome {
	seen := 0
	for _, length := range lengths {
		if got := outcomeOf(in[:length], seen, lim); got.err != ErrNeedMore {
			return got
		}
		seen = length
	}
	return outcomeOf(in, seen, lim)
}

// Ensure that a head costs linear time however it is cut, by taking away what a
// call must not look at: unless it completes the head, it gets by without the
// lines before the one the new bytes belong to, and if they complete no line at
// all, without anything that came before. That the latter does not search what
// came before either only time can tell: see TestSpeedRatios.
func TestWorkIsLinear(t *testing.T) {
	in := get(numbered(40)...)
	for _, step := range []int{1, 2, 7, 100} {
		seen := 0
		for end := step; end < len(in); end += step {
			kept := seen
			if strings.Contains(in[seen:end], "\n") {
				kept = strings.LastIndex(in[:seen], "\n")
			}
			spoilt := in[:end]
			if kept > 0 {
				spoilt = strings.Repeat("\x00", kept) + in[kept:end]
			}
			if got := outcomeOf(spoilt, seen, Limits{}); got.err != ErrNeedMore {
				t.Fatalf("with %d of %d bytes seen and the first %d spoilt: %v; want %v, they need no second look",
					seen, end, kept, got, ErrNeedMore)
			}
			seen = end
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	inputs := []string{browserHead, browserHead[:200]}
	for _, c := range accepted {
		inputs = append(inputs, c.in)
	}
	for _, c := range refusals {
		inputs = append(inputs, c.in)
	}
	var r Request
	for _, in := range inputs {
		buf := []byte(in)
		if n := testing.AllocsPerRun(10, func() {
			Parse(&r, buf, 0, Limits{})
			Parse(&r, buf, len(buf)/2, Limits{})
		}); n != 0 {
			t.Errorf("Parse(%q) allocates %v times", clip(in), n)
		}
	}
}
