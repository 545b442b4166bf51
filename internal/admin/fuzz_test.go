package admin

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"millrace/internal/resp"
)

// Ensure that any bytes are answered in well-formed replies, and the same
// however it is cut into reads.
func FuzzConn(f *testing.F) {
	for _, tt := range replyTable {
		if len(tt.request) < 1000 {
			f.Add(tt.request+"\r\n", false, byte(1))
			f.Add("AUTH secret\nHELLO 3\n"+tt.request+"\r\n", true, byte(7))
		}
	}
	f.Fuzz(func(t *testing.T, input string, password bool, chunk byte) {
		cfg := Config{Broker: testBroker()}
		if password {
			cfg.Password = "secret"
		}
		whole := converse(t, cfg, input, bufferSize)
		cut := converse(t, cfg, input, 1+int(chunk))
		if whole != cut && !mayDiffer(input) {
			t.Errorf("%q\nwhole %q\n cut %q", input, whole, cut)
		}
		r := bufio.NewReaderSize(strings.NewReader(whole), 1<<20)
		for {
			_, err := resp.ReadReply(r)
			if _, isReply := errors.AsType[resp.Error](err); err != nil && !isReply {
				if err != io.EOF {
					t.Errorf("%q was answered %q: %v", input, whole, err)
				}
				break
			}
		}
	})
}

// mayDiffer tells of input that may be answered in two ways: replies that wait
// when an HTTP request is seen are withheld, and INFO tells the time.
func mayDiffer(input string) bool {
	input = strings.ToLower(input)
	return strings.Contains(input, "post ") || strings.Contains(input, "host:") || strings.Contains(input, "info")
}
