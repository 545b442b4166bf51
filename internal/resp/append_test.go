package resp

import (
	"math"
	"testing"
)

func TestAppend(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"simple", AppendSimple(nil, "OK"), "+OK\r\n"},
		{"error", AppendError(nil, "ERR no"), "-ERR no\r\n"},
		{"error in lines", AppendError([]byte("\r\n"), "ERR a\r\n+OK\x00\x7fé"), "\r\n-ERR a  +OK  é\r\n"},
		{"int", AppendInt(nil, math.MinInt64), ":-9223372036854775808\r\n"},
		{"bulk", AppendBulk(nil, "a\r\nb"), "$4\r\na\r\nb\r\n"},
		{"bulk of bytes", AppendBulk(nil, []byte{}), "$0\r\n\r\n"},
		{"null 2", AppendNull(nil, RESP2), "$-1\r\n"},
		{"null 3", AppendNull(nil, RESP3), "_\r\n"},
		{"array", AppendArray(nil, 0), "*0\r\n"},
		{"map 2", AppendMap(nil, 7, RESP2), "*14\r\n"},
		{"map 3", AppendMap(nil, 7, RESP3), "%7\r\n"},
		{"push 2", AppendPush(nil, 3, RESP2), "*3\r\n"},
		{"push 3", AppendPush(nil, 3, RESP3), ">3\r\n"},
		{"command", AppendCommand(nil, "PING", ""), "*2\r\n$4\r\nPING\r\n$0\r\n\r\n"},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 256)
	payload := []byte("payload")
	if allocs := testing.AllocsPerRun(100, func() {
		dst = AppendInt(AppendBulk(AppendNull(AppendMap(dst[:0], 2, RESP3), RESP3), payload), 42)
		dst = AppendError(AppendSimple(AppendCommand(dst, "PUBLISH", "a", "b"), "OK"), "ERR\n")
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
