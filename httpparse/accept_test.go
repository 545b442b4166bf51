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
