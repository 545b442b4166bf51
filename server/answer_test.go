package server

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/httpparse"
)

var update = flag.Bool("update", false, "write what the server answers to testdata")

// Ensure that every answer is, byte for byte, the one in testdata/answers.golden.
func TestAnswers(t *testing.T) {
	origins := Config{AllowOrigins: []string{"https://app.example", "http://localhost:3000"}}
	everyone := Config{AllowOrigins: []string{"*"}}
	tests := []struct {
		name    string
		cfg     Config
		request string
	}{
		{"stream", Config{}, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"stream with retry", Config{Retry: 2500 * time.Millisecond}, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"stream over HTTP/1.0", Config{}, "GET /x HTTP/1.0\r\n\r\n"},
		{"stream for an allowed origin", origins, "GET /x HTTP/1.1\r\nHost: h\r\nOrigin: http://localhost:3000\r\n\r\n"},
		{"stream for another origin", origins, "GET /x HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n"},
		{"stream for any origin", everyone, "GET /x HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n"},
		{"head of a stream", Config{}, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"health", Config{}, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"head of health", Config{}, "HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"head of no channel", Config{}, "HEAD /favicon.ico HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"head of a bad name", Config{}, "HEAD /%ff HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"head with content", Config{}, "HEAD /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"},
		{"options", Config{}, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"preflight allowed", origins, "OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"},
		{"preflight not allowed", origins, "OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"},
		{"preflight that asks for headers", origins, "OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nAccess-Control-Request-Headers: traceparent,x-csrf-token,x-requested-with\r\n\r\n"},
		{"preflight that asks for no header names", everyone, "OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nAccess-Control-Request-Headers: a:b\r\n\r\n"},
		{"preflight that asks for too much", everyone, "OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nAccess-Control-Request-Headers: " + strings.Repeat("x", 4097) + "\r\n\r\n"},
		{"health for an allowed origin", origins, "GET /healthz HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\n\r\n"},
		{"no channel for an allowed origin", origins, "GET /favicon.ico HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\n\r\n"},
		{"content for an allowed origin", origins, "GET /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nContent-Length: 3\r\n\r\nabc"},
		{"bad head for an allowed origin", origins, "GET /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nX Y: z\r\n"},
		{"bad head before the origin", origins, "GET /x HTTP/1.1\r\nHost: h\r\nX Y: z\r\nOrigin: https://app.example\r\n"},
		{"garbage for any origin", everyone, "\x16\x03\x01\x02\n"},
		{"large head for an allowed origin", Config{AllowOrigins: origins.AllowOrigins, Head: httpparse.Limits{MaxBytes: 100}}, "GET /x HTTP/1.1\r\nOrigin: https://app.example\r\nX: " + strings.Repeat("x", 200) + "\r\n"},
		{"empty line before the request", Config{}, "\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"chunked content that is empty", Config{}, "GET /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"host", Config{Hosts: []string{"events.example.org"}}, "GET /healthz HTTP/1.1\r\nHost: events.example.org:8080\r\n\r\n"},
		{"another host", Config{Hosts: []string{"events.example.org"}}, "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
		{"no host where one is wanted", Config{Hosts: []string{"events.example.org"}}, "GET /x HTTP/1.0\r\n\r\n"},
		{"health of another host", Config{Hosts: []string{"events.example.org"}}, "GET /healthz HTTP/1.1\r\nHost: 10.0.0.7\r\n\r\n"},
		{"channel of an engine", Config{}, "GET /x?channel=__keyspace@0__:x HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"channel of Action Cable", Config{}, "GET /x?channel=_action%5fcable_internal HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"connection of Action Cable", Config{}, "GET /x?channel=action_cable/Z2lk HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"channel that clients may have", Config{Channels: mustParse("/rooms/{id}")}, "HEAD /rooms/42 HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"channel that clients may not have", Config{Channels: mustParse("/rooms/{id}")}, "GET /rooms/42?channel=/users/7 HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"no channel", Config{}, "GET /favicon.ico HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"method", Config{}, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"},
		{"content", Config{}, "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"},
		{"accept", Config{}, "GET /x HTTP/1.1\r\nHost: h\r\nAccept: text/html, application/json\r\n\r\n"},
		{"control character", Config{}, "GET /x%00y HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"not UTF-8", Config{}, "GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"long name", Config{}, "GET /" + strings.Repeat("x", 255) + " HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"bad query", Config{}, "GET /x?channel=%zz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"too many channels", Config{}, "GET /x?" + manyChannels(64) + " HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"no host", Config{}, "GET /x HTTP/1.1\r\n\r\n"},
		{"garbage", Config{}, "\x16\x03\x01\x02\n"},
		{"coding", Config{}, "GET /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{"version", Config{}, "GET /x HTTP/2.0\r\nHost: h\r\n\r\n"},
		{"long target", Config{Head: httpparse.Limits{MaxBytes: 100}}, "GET /" + strings.Repeat("x", 200) + " HTTP/1.1\r\n"},
		{"large head", Config{Head: httpparse.Limits{MaxBytes: 100}}, "GET /x HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 200) + "\r\n"},
		{"many headers", Config{Head: httpparse.Limits{MaxHeaders: 2}}, "GET /x HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n\r\n"},
	}
	var got bytes.Buffer
	for _, tt := range tests {
		h := turnByHand(t, tt.cfg, channels.Options{})
		fd, peer := h.connect()
		unixWrite(t, peer, tt.request)
		h.on(fd, true, false)
		fmt.Fprintf(&got, "=== %s\n--- %s\n%s\n", tt.name, abridged(tt.request), received(peer))
	}
	golden := filepath.Join("testdata", "answers.golden")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Split(string(want), "=== ")
	for i, section := range strings.Split(got.String(), "=== ") {
		if i >= len(wanted) || section != wanted[i] {
			t.Errorf("not as in %s (run with -update to accept):\n%s", golden, section)
		}
	}
}

func manyChannels(n int) string {
	var q strings.Builder
	for i := range n {
		fmt.Fprintf(&q, "channel=%d&", i)
	}
	return q.String()
}

// abridged is a request on one line, for the golden file.
func abridged(request string) string {
	quoted := fmt.Sprintf("%q", request)
	if len(quoted) > 120 {
		quoted = quoted[:120] + "..."
	}
	return quoted
}
