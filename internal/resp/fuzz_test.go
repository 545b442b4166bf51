package resp

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func FuzzParser(f *testing.F) {
	for _, tt := range parserTable {
		f.Add([]byte(tt.input), uint16(len(tt.input)/2))
	}
	limits := Limits{Elements: 6, Bulk: 40, Command: 100}
	f.Fuzz(func(t *testing.T, input []byte, at uint16) {
		whole := parse(limits, input)
		split := min(int(at), len(input))
		if got := parse(limits, input, split); got.String() != whole.String() {
			t.Fatalf("parse(%q) split at %d\n got %v\nwant %v", input, split, got, whole)
		}

		p := Parser{Limits: limits, Verbatim: publishVerbatim}
		for rest := input; ; {
			args, n, err := p.Next(rest)
			if n > limits.Command || n > len(rest) || len(args) > limits.Elements {
				t.Fatalf("Next(%q) = %d arguments, %d bytes: more than allowed", rest, len(args), n)
			}
			if cap(p.spans) > 2*limits.Elements || cap(p.args) > 2*limits.Elements || cap(p.unquoted) > 2*limits.Command {
				t.Fatalf("Next(%q) holds %d spans, %d arguments, %d bytes", rest, cap(p.spans), cap(p.args), cap(p.unquoted))
			}
			if n == 0 || err != nil {
				break
			}
			checkCanonical(t, limits, rest[:n], args)
			rest = rest[n:]
		}
	})
}

// checkCanonical tells that args, found in wire, are found again in their array
// form, if that is within limits, and that an array has no other form.
func checkCanonical(t *testing.T, limits Limits, wire []byte, args [][]byte) {
	t.Helper()
	canonical := AppendCommand(nil, args...)
	if wire[0] == '*' && !bytes.Equal(wire, canonical) {
		t.Fatalf("%q was taken for %q", wire, canonical)
	}
	if len(canonical) > limits.Command || slices.ContainsFunc(args, func(a []byte) bool { return len(a) > limits.Bulk }) {
		return
	}
	if got, want := parse(limits, canonical), fmt.Sprintf("%q", args); len(got.requests) != 1 || got.requests[0] != want {
		t.Fatalf("parse(%q)\n got %v\nwant %s", canonical, got, want)
	}
}
