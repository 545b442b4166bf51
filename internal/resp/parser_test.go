package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

var roomy = Limits{Elements: 32, Bulk: 1 << 10, Command: 4 << 10}

// publishVerbatim is the rule of the admin port: `PUBLISH channel rest of the
// line`.
func publishVerbatim(name []byte) int {
	if bytes.EqualFold(name, []byte("publish")) {
		return 2
	}
	return 0
}

// result is everything that a parser said about an input.
type result struct {
	requests []string // arguments, quoted
	rest     int      // bytes that belong to no complete request
	err      string
}

func (r result) String() string {
	return fmt.Sprintf("%s rest %d err %q", strings.Join(r.requests, ";"), r.rest, r.err)
}

// parse feeds input in pieces that end at the given offsets, and at its end.
// The bytes of each call are a copy, as if the buffer had moved, and end where
// its memory ends.
func parse(limits Limits, input []byte, ends ...int) (r result) {
	p := Parser{Limits: limits, Verbatim: publishVerbatim}
	from := 0
	for _, end := range append(ends, len(input)) {
		for {
			args, n, err := p.Next(slices.Clone(input[from:end]))
			if err != nil {
				r.err, r.rest = err.Error(), len(input)-from
				return r
			}
			if n == 0 {
				break
			}
			r.requests = append(r.requests, fmt.Sprintf("%q", args))
			from += n
		}
	}
	r.rest = len(input) - from
	return r
}

var parserTable = []struct {
	name, input string
	want        result
}{
	{"nothing", "", result{}},

	{"array", "*1\r\n$4\r\nPING\r\n", result{requests: []string{`["PING"]`}}},
	{"array of two", "*2\r\n$4\r\nECHO\r\n$5\r\na\r\nbc\r\n", result{requests: []string{`["ECHO" "a\r\nbc"]`}}},
	{"array, empty bulk", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", result{requests: []string{`["ECHO" ""]`}}},
	{"array, empty", "*0\r\n*1\r\n$1\r\na\r\n", result{requests: []string{`[]`, `["a"]`}}},
	{"array, payload verbatim", "*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$3\r\n\"b \r\n", result{requests: []string{`["PUBLISH" "/a" "\"b "]`}}},
	{"pipeline", "*1\r\n$1\r\na\r\nPING\r\n*1\r\n$1\r\nb\r\n", result{requests: []string{`["a"]`, `["PING"]`, `["b"]`}}},
	{"incomplete header", "*1", result{rest: 2}},
	{"incomplete CRLF", "*1\r", result{rest: 3}},
	{"incomplete bulk", "*1\r\n$4\r\nPIN", result{rest: 11}},
	{"incomplete end", "*1\r\n$4\r\nPING\r", result{rest: 13}},
	{"request then incomplete", "*1\r\n$1\r\na\r\n*1\r\n$1\r\n", result{requests: []string{`["a"]`}, rest: 8}},

	{"inline", "PING\r\n", result{requests: []string{`["PING"]`}}},
	{"inline, LF alone", "PING\n", result{requests: []string{`["PING"]`}}},
	{"inline, blanks", "  ECHO \t a  \r\n", result{requests: []string{`["ECHO" "a"]`}}},
	{"inline, incomplete", "PING", result{rest: 4}},
	{"empty lines", "\r\n\n  \r\nPING\n", result{requests: []string{`[]`, `[]`, `[]`, `["PING"]`}}},
	{"double quotes", `ECHO "a b" "" "\x41\xfF\n\r\t\b\a\\\"\z"` + "\n", result{requests: []string{`["ECHO" "a b" "" "A\xff\n\r\t\b\a\\\"z"]`}}},
	{"bad hex", `ECHO "\x4" "\xzz" "\x` + "\x10\x11" + `"` + "\n", result{requests: []string{`["ECHO" "x4" "xzz" "x\x10\x11"]`}}},
	{"single quotes", `ECHO 'a "b\n' '\'' ''` + "\n", result{requests: []string{`["ECHO" "a \"b\\n" "'" ""]`}}},
	{"quote within", `ECHO a"b c" d'e f'` + "\n", result{requests: []string{`["ECHO" "ab c" "de f"]`}}},
	{"quoted name", `"PUBLISH" /a x"y` + "\n", result{requests: []string{`["PUBLISH" "/a" "x\"y"]`}}},
	{"UTF-8", "ECHO žluťoučký 'kůň a' x\xff\n", result{requests: []string{`["ECHO" "žluťoučký" "kůň a" "x\xff"]`}}},
	{"open quote", "ECHO \"a\n", result{rest: 8, err: "Protocol error: unbalanced quotes in request"}},
	{"open quote, backslash", "ECHO \"a\\\n", result{rest: 9, err: "Protocol error: unbalanced quotes in request"}},
	{"quote goes on", "ECHO 'a'b\n", result{rest: 10, err: "Protocol error: unbalanced quotes in request"}},

	{"verbatim", "PUBLISH /sse/test {\"foo\": \"bar\"}\r\n", result{requests: []string{`["PUBLISH" "/sse/test" "{\"foo\": \"bar\"}"]`}}},
	{"verbatim, quotes and blanks", "publish  '/a b'   it's  \"fine\" \r\n", result{requests: []string{`["publish" "/a b" "it's  \"fine\" "]`}}},
	{"verbatim, one CR is the line's", "PUBLISH /a b\r\r\n", result{requests: []string{`["PUBLISH" "/a" "b\r"]`}}},
	{"verbatim, none", "PUBLISH /a  \nPUBLISH\n", result{requests: []string{`["PUBLISH" "/a"]`, `["PUBLISH"]`}}},

	{"huge bulk", "*1\r\n$9223372036854775807\r\nabc", result{rest: 29, err: `Protocol error: invalid bulk length "9223372036854775807": want 0 to 1024`}},
	{"overflowing bulk", "*1\r\n$18446744073709551617\r\n", result{rest: 27, err: `Protocol error: invalid bulk length "18446744073709551617": want 0 to 1024`}},
	{"huge array", "*9223372036854775807\r\n", result{rest: 22, err: `Protocol error: invalid multibulk length "9223372036854775807": want 0 to 32`}},
	{"large array", "*1000000000\r\n", result{rest: 13, err: `Protocol error: invalid multibulk length "1000000000": want 0 to 32`}},
	{"one element too many", "*33\r\n", result{rest: 5, err: `Protocol error: invalid multibulk length "33": want 0 to 32`}},
	{"one byte too many", "*1\r\n$1025\r\n", result{rest: 11, err: `Protocol error: invalid bulk length "1025": want 0 to 1024`}},
	{"negative array", "*-1\r\n", result{rest: 5, err: `Protocol error: invalid multibulk length "-1": want 0 to 32`}},
	{"negative bulk", "*1\r\n$-5\r\n", result{rest: 9, err: `Protocol error: invalid bulk length "-5": want 0 to 1024`}},
	{"negative bulk, unfinished", "*1\r\n$-5", result{rest: 7}},
	{"no bulk length", "*1\r\n$\r\n", result{rest: 7, err: `Protocol error: invalid bulk length "": want 0 to 1024`}},
	{"leading zero", "*01\r\n", result{rest: 5, err: `Protocol error: invalid multibulk length "01": want 0 to 32`}},
	{"plus", "*+1\r\n", result{rest: 5, err: `Protocol error: invalid multibulk length "+1": want 0 to 32`}},
	{"letters", "*1\r\n$4a\r\nPING\r\n", result{rest: 15, err: `Protocol error: invalid bulk length "4a": want 0 to 1024`}},
	{"header ends with LF", "*1\n$4\nPING\n", result{rest: 11, err: `Protocol error: invalid multibulk length "1": want CRLF after it`}},
	{"endless header", "*" + strings.Repeat("1", 40), result{rest: 41, err: `Protocol error: too big multibulk count string "1111111111111111111111"`}},
	{"not a bulk", "*1\r\n:1\r\n", result{rest: 8, err: "Protocol error: expected '$', got ':'"}},
	{"nested", strings.Repeat("*1\r\n", 8), result{rest: 32, err: "Protocol error: expected '$', got '*'"}},
	{"bulk goes on", "*1\r\n$4\r\nPINGPONG\r\n", result{rest: 18, err: `Protocol error: expected CRLF after a bulk of 4 bytes, got "PO"`}},
	{"too big request", "*5\r\n" + strings.Repeat("$1024\r\n"+strings.Repeat("x", 1024)+"\r\n", 5), result{rest: 5169, err: "Protocol error: too big request: at most 4096 bytes"}},
	{"too big line", strings.Repeat("x ", 2048) + "\n", result{rest: 4097, err: "Protocol error: too big inline request: at most 4096 bytes"}},
	{"largest line", "PUBLISH a " + strings.Repeat("x", 4085) + "\n", result{requests: []string{`["PUBLISH" "a" "` + strings.Repeat("x", 4085) + `"]`}}},
	{"many inline arguments", strings.Repeat("x ", 33) + "\n", result{rest: 67, err: "Protocol error: too many arguments in inline request: at most 32"}},

	{"POST", "PING\npOSt / HTTP/1.1\r\nHost: a\r\n", result{requests: []string{`["PING"]`}, rest: 26, err: ErrCrossProtocol.Error()}},
	{"Host", "GET / HTTP/1.1\r\nhost:a\r\n", result{requests: []string{`["GET" "/" "HTTP/1.1"]`}, rest: 8, err: ErrCrossProtocol.Error()}},
	{"not POST", "POSTER\nhost\n", result{requests: []string{`["POSTER"]`, `["host"]`}}},
}

// Ensure that every input gives the same whole, split in two at any point, and
// byte by byte.
func TestParser(t *testing.T) {
	for _, tt := range parserTable {
		t.Run(tt.name, func(t *testing.T) {
			input := []byte(tt.input)
			if got := parse(roomy, input); got.String() != tt.want.String() {
				t.Fatalf("parse(%.200q)\n got %v\nwant %v", input, got, tt.want)
			}
			all := make([]int, len(input))
			for i := range input {
				all[i] = i
				if got := parse(roomy, input, i); got.String() != tt.want.String() {
					t.Fatalf("parse(%.200q) split at %d\n got %v\nwant %v", input, i, got, tt.want)
				}
			}
			if got := parse(roomy, input, all...); got.String() != tt.want.String() {
				t.Fatalf("parse(%.200q) byte by byte\n got %v\nwant %v", input, got, tt.want)
			}
		})
	}
}

func TestParserUnauthenticated(t *testing.T) {
	for _, tt := range []struct{ input, err string }{
		{"*10\r\n", ""},
		{"*11\r\n", `invalid multibulk length "11": want 0 to 10`},
		{"*1\r\n$16384\r\n", ""},
		{"*1\r\n$16385\r\n", `invalid bulk length "16385": want 0 to 16384`},
		{strings.Repeat("x", 64<<10-1), ""},
		{strings.Repeat("x", 64<<10), "too big inline request: at most 65536 bytes"},
	} {
		p := Parser{Limits: Unauthenticated}
		_, n, err := p.Next([]byte(tt.input))
		if n != 0 || (err == nil) != (tt.err == "") || err != nil && err.Error() != "Protocol error: "+tt.err {
			t.Errorf("Next(%.30q) = %d, %v, want error %q", tt.input, n, err, tt.err)
		}
		if err != nil && !errors.Is(err, ErrProtocol) {
			t.Errorf("Next(%.30q): %v is not ErrProtocol", tt.input, err)
		}
	}
}

// Ensure that an announcement takes no memory.
func TestParserReservesNothing(t *testing.T) {
	p := Parser{Limits: Limits{Elements: 1 << 20, Bulk: 1 << 30, Command: 1 << 30}}
	input := []byte("*1048576\r\n$1000000000\r\nabc")
	if allocs := testing.AllocsPerRun(1, func() {
		if _, n, err := p.Next(input); n != 0 || err != nil {
			t.Errorf("Next(%q) = %d, %v", input, n, err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for %q", allocs, input)
	}
	if cap(p.spans) != 0 || cap(p.args) != 0 || cap(p.unquoted) != 0 {
		t.Errorf("%q reserved %d spans, %d arguments, %d bytes", input, cap(p.spans), cap(p.args), cap(p.unquoted))
	}
}

func TestParserAllocatesNothing(t *testing.T) {
	input := []byte("*3\r\n$7\r\nPUBLISH\r\n$9\r\n/sse/test\r\n$13\r\n{\"foo\":\"bar\"}\r\n" +
		"PUBLISH /sse/test {\"foo\": \"bar\"}\r\n" + "SSE.PUBLISH /sse/test \"two words\" EVENT 'x'\r\n")
	p := Parser{Limits: roomy, Verbatim: publishVerbatim}
	if allocs := testing.AllocsPerRun(100, func() {
		for rest := input; len(rest) > 0; {
			_, n, err := p.Next(rest)
			if n == 0 || err != nil {
				t.Fatalf("Next(%q) = %d, %v", rest, n, err)
			}
			rest = rest[n:]
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for %q", allocs, input)
	}
}

// Ensure that arguments do not keep alive a buffer that the caller has let go.
func TestParserLetsGo(t *testing.T) {
	p := Parser{Limits: roomy}
	args, _, _ := p.Next([]byte("*2\r\n$1\r\na\r\n$1\r\nb\r\n"))
	p.Next(nil)
	for i, arg := range args {
		if arg != nil {
			t.Errorf("argument %d is still %q after the next call", i, arg)
		}
	}
}

// Ensure that a command that AppendCommand writes, and the same as a quoted line, parse
// to the same arguments.
func TestParserRoundTrip(t *testing.T) {
	seed := rand.Int63()
	rng := rand.New(rand.NewSource(seed))
	for range 2_000 {
		args := make([]string, 1+rng.Intn(6))
		for i := range args {
			arg := make([]byte, rng.Intn(20))
			for j := range arg {
				arg[j] = byte(rng.Intn(256))
			}
			args[i] = string(arg)
		}
		args[0] = "x" + args[0] // no empty name, no PUBLISH
		want := fmt.Sprintf("%q", args)
		for _, wire := range [][]byte{AppendCommand(nil, args...), appendQuoted(nil, args)} {
			got := parse(roomy, wire)
			if len(got.requests) != 1 || got.requests[0] != want || got.err != "" || got.rest != 0 {
				t.Fatalf("seed %d: parse(%q)\n got %v\nwant %s", seed, wire, got, want)
			}
		}
	}
}

// appendQuoted appends args as a line in which every byte stands as \xHH.
func appendQuoted(dst []byte, args []string) []byte {
	for _, arg := range args {
		dst = append(dst, '"')
		for _, c := range []byte(arg) {
			dst = fmt.Appendf(dst, `\x%02x`, c)
		}
		dst = append(dst, "\" "...)
	}
	return append(dst, '\n')
}

// Ensure that a request which comes byte by byte costs time in proportion to
// its length.
func TestParserIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	if testenv.Race {
		t.Skip("measures time, and the race detector distorts it")
	}
	const small, factor = 4 << 10, 16
	for name, request := range map[string]func(n int) []byte{
		"bulk":   func(n int) []byte { return AppendCommand(nil, strings.Repeat("x", n)) },
		"bulks":  func(n int) []byte { return AppendCommand(nil, slices.Repeat([]string{"x"}, n/8)...) },
		"inline": func(n int) []byte { return []byte(strings.Repeat("x", n) + "\n") },
	} {
		cost := func(n int) time.Duration {
			input := request(n)
			p := Parser{Limits: Limits{Elements: n, Bulk: n, Command: 2 * n}}
			began := time.Now()
			for end := range input {
				if _, n, err := p.Next(input[:end]); n != 0 || err != nil {
					t.Fatalf("%s: Next of %d bytes of %d = %d, %v", name, end, len(input), n, err)
				}
			}
			return time.Since(began)
		}
		one, many := time.Hour, time.Hour // best of several, in turn
		for range 20 {
			one, many = min(one, cost(small)), min(many, cost(small*factor))
		}
		if many > one*factor*4 { // a quadratic parser takes factor times as long again
			t.Errorf("%s: %v for %d bytes, %v for %d", name, one, small, many, small*factor)
		}
	}
}
