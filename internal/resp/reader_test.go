package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

var replyTable = []struct{ name, input, want, err string }{
	{name: "simple", input: "+OK\r\n", want: `"OK"`},
	{name: "int", input: ":-3\r\n", want: "-3"},
	{name: "bulk", input: "$4\r\na\r\nb\r\n", want: `"a\r\nb"`},
	{name: "empty bulk", input: "$0\r\n\r\n", want: `""`},
	{name: "null", input: "_\r\n", want: "<nil>"},
	{name: "null bulk", input: "$-1\r\n", want: "<nil>"},
	{name: "null array", input: "*-1\r\n", want: "<nil>"},
	{name: "array", input: "*3\r\n:1\r\n$1\r\na\r\n-ERR no\r\n", want: `[]interface {}{1, "a", "ERR no"}`},
	{name: "nested", input: "*2\r\n*1\r\n:1\r\n*0\r\n", want: `[]interface {}{[]interface {}{1}, []interface {}(nil)}`},
	{name: "push", input: ">1\r\n+a\r\n", want: `[]interface {}{"a"}`},
	{name: "set", input: "~1\r\n+a\r\n", want: `[]interface {}{"a"}`},
	{name: "map", input: "%2\r\n+a\r\n:1\r\n+b\r\n_\r\n", want: `[]interface {}{"a", 1, "b", interface {}(nil)}`},

	{name: "error", input: "-NOAUTH no\r\n", err: "NOAUTH no"},
	{name: "nothing", input: "", err: "EOF"},
	{name: "cut line", input: "+OK", err: "unexpected EOF"},
	{name: "cut bulk", input: "$4\r\nab", err: "unexpected EOF"},
	{name: "cut after length", input: "$4\r\n", err: "unexpected EOF"},
	{name: "cut array", input: "*2\r\n:1\r\n", err: "unexpected EOF"},
	{name: "no CR", input: "+OK\n", err: `Protocol error: invalid reply line "+OK\n"`},
	{name: "no type", input: "\r\n", err: `Protocol error: invalid reply line ""`},
	{name: "unknown type", input: "=15\r\n", err: "Protocol error: unexpected reply type '='"},
	{name: "bad int", input: ":1a\r\n", err: `Protocol error: invalid integer "1a"`},
	{name: "bulk goes on", input: "$1\r\nabc", err: "Protocol error: expected CRLF after a bulk of 1 bytes"},
	{name: "negative bulk", input: "$-5\r\n", err: `Protocol error: invalid bulk length "-5": want 0 to 1048576`},
	{name: "huge bulk", input: "$9223372036854775807\r\n", err: `Protocol error: invalid bulk length "9223372036854775807": want 0 to 1048576`},
	{name: "huge array", input: "*65537\r\n", err: `Protocol error: invalid multibulk length "65537": want 0 to 65536`},
	{name: "huge map", input: "%32769\r\n", err: `Protocol error: invalid multibulk length "32769": want 0 to 32768`},
	{name: "huge together", input: "*2\r\n*65535\r\n", err: `Protocol error: invalid multibulk length "65535": want 0 to 65534`},
	{name: "deep", input: strings.Repeat("*1\r\n", 9), err: "Protocol error: reply nested more than 8 deep"},
	{name: "long line", input: "+" + strings.Repeat("x", 5000) + "\r\n", err: "Protocol error: reply line of more than 4096 bytes"},
}

func TestReadReply(t *testing.T) {
	for _, tt := range replyTable {
		for _, r := range []io.Reader{strings.NewReader(tt.input), iotest.OneByteReader(strings.NewReader(tt.input))} {
			got, err := ReadReply(bufio.NewReader(r))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || got != nil {
					t.Errorf("%s: ReadReply(%.50q) = %v, %v, want error %q", tt.name, tt.input, got, err, tt.err)
				}
			} else if s := fmt.Sprintf("%#v", got); err != nil || s != tt.want {
				t.Errorf("%s: ReadReply(%.50q) = %s, %v, want %s", tt.name, tt.input, s, err, tt.want)
			}
		}
	}
}

func TestReadReplyError(t *testing.T) {
	_, err := ReadReply(bufio.NewReader(strings.NewReader("-ERR no\r\n")))
	if e, ok := errors.AsType[Error](err); !ok || e != "ERR no" {
		t.Errorf("%#v, want Error(%q)", err, "ERR no")
	}
}

func FuzzReadReply(f *testing.F) {
	for _, tt := range replyTable {
		f.Add([]byte(tt.input))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := ReadReply(bufio.NewReader(bytes.NewReader(input)))
		runtime.ReadMemStats(&after)
		// One bulk may be announced and not come. All else is in proportion to
		// the input.
		if grown, most := after.TotalAlloc-before.TotalAlloc, uint64(2*maxReplyBulk+1000*len(input)); grown > most {
			t.Fatalf("ReadReply(%q) took %d bytes, want at most %d", input, grown, most)
		}
		again, errAgain := ReadReply(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(input))))
		if fmt.Sprintf("%#v %v", got, err) != fmt.Sprintf("%#v %v", again, errAgain) {
			t.Fatalf("ReadReply(%q) = %#v, %v, and byte by byte %#v, %v", input, got, err, again, errAgain)
		}
	})
}
