package httpparse

import "testing"

// Ensure that the Accept header is read as RFC 9110 has it.
func TestAccept(t *testing.T) {
	tests := []struct {
		headers string
		want    bool
	}{
		{"", true},
		{"Accept: text/event-stream\r\n", true},
		{"Accept: TEXT/Event-Stream\r\n", true},
		{"Accept: */*\r\n", true},
		{"Accept: text/*\r\n", true},
		{"Accept: text/html, */*;q=0.8\r\n", true},
		{"Accept: text/html\r\nAccept: text/event-stream\r\n", true},
		{"Accept: text/event-stream ; charset=utf-8\r\n", true},
		{"Accept: text/event-stream; q=0.001\r\n", true},
		{"Accept: text/event-stream;q=0\r\n", false},
		{"Accept: text/event-stream;q=0, */*\r\n", false},
		{"Accept: text/*;q=0, */*\r\n", false},
		{"Accept: */*;q=0, text/event-stream\r\n", true},
		{"Accept: text/html\r\n", false},
		{"Accept: text/event-stream-2\r\n", false},
		{"Accept: \r\n", false},
	}
	for _, tt := range tests {
		var r Request
		if _, err := Parse(&r, []byte("GET / HTTP/1.1\r\nHost: h\r\n"+tt.headers+"\r\n"), 0, Limits{}); err != nil {
			t.Fatalf("%q: %v", tt.headers, err)
		}
		if got := r.Accepts("text/event-stream"); got != tt.want {
			t.Errorf("%q: accepts text/event-stream: %v, want %v", tt.headers, got, tt.want)
		}
	}
}

// Ensure that Accept-Encoding is read as RFC 9110 has it.
func TestPrefersGzip(t *testing.T) {
	tests := []struct {
		headers string
		want    bool
	}{
		{"", false},
		{"Accept-Encoding: \r\n", false},
		{"Accept-Encoding: gzip\r\n", true},
		{"Accept-Encoding: GZip\r\n", true},
		{"Accept-Encoding: x-gzip\r\n", true},
		{"Accept-Encoding: gzip, deflate, br, zstd\r\n", true},
		{"Accept-Encoding: br;q=1.0, gzip;q=0.2\r\n", true},
		{"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n", true},
		{"Accept-Encoding: gzip;q=0\r\n", false},
		{"Accept-Encoding: gzip;q=0.000, br\r\n", false},
		{"Accept-Encoding: gzip ; q=0.001\r\n", true},
		{"Accept-Encoding: *\r\n", true},
		{"Accept-Encoding: *;q=0\r\n", false},
		{"Accept-Encoding: gzip;q=0, *\r\n", false},
		{"Accept-Encoding: *;q=0, gzip\r\n", true},
		{"Accept-Encoding: identity\r\n", false},
		{"Accept-Encoding: identity, *;q=0\r\n", false},
		{"Accept-Encoding: identity, gzip\r\n", true}, // the server may choose
		{"Accept-Encoding: identity;q=1, gzip;q=0.5\r\n", false},
		{"Accept-Encoding: identity;q=0.5, gzip;q=0.5\r\n", true},
		{"Accept-Encoding: identity;q=0.5, *;q=0.4\r\n", false},
		{"Accept-Encoding: identity;q=0\r\n", false}, // gzip is not asked for
		{"Accept-Encoding: gzip;q=nan\r\n", false},
		{"Accept-Encoding: gzip;q=much\r\n", true},
		{"Accept-Encoding: gzipped, x-gzip2, deflate\r\n", false},
	}
	for _, tt := range tests {
		var r Request
		if _, err := Parse(&r, []byte("GET / HTTP/1.1\r\nHost: h\r\n"+tt.headers+"\r\n"), 0, Limits{}); err != nil {
			t.Fatalf("%q: %v", tt.headers, err)
		}
		if got := r.PrefersGzip(); got != tt.want {
			t.Errorf("%q: prefers gzip: %v, want %v", tt.headers, got, tt.want)
		}
	}
}
