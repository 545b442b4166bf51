package httpparse

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// browserHead is what the benchmarks read: 430 bytes, 9 headers, the size of a
// browser's request that comparisons of such parsers customarily use.
const browserHead = "GET /rooms/42?channel=/rooms/7&channel=/users/113801 HTTP/1.1\r\n" +
	"Host: stream.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/event-stream\r\n" +
	"Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n" +
	"Accept-Encoding: gzip, deflate, zstd\r\n" +
	"Referer: https://www.example.com/rooms/42\r\n" +
	"Cookie: session=5f0c3a9d1be84c6c9a5312f7ab; theme=dark\r\n" +
	"Cache-Control: no-cache\r\n" +
	"Connection: keep-alive\r\n\r\n"

func TestBrowserHead(t *testing.T) {
	var r Request
	n, err := Parse(&r, []byte(browserHead), 0, Limits{})
	if n != 430 || err != nil || len(r.Headers()) != 9 {
		t.Fatalf("Parse = %d bytes, %d headers, %v; want 430 bytes, 9 headers", n, len(r.Headers()), err)
	}
}

func BenchmarkParse(b *testing.B) {
	head := []byte(browserHead)
	var r Request
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(&r, head, 0, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFasthttp reads the same head with fasthttp into a reused header; one
// Peek is the least a user would do.
func BenchmarkFasthttp(b *testing.B) {
	head := []byte(browserHead)
	var source bytes.Reader
	reader := bufio.NewReaderSize(&source, DefaultMaxBytes)
	var h fasthttp.RequestHeader
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(head)
		reader.Reset(&source)
		if err := h.Read(reader); err != nil {
			b.Fatal(err)
		}
		if len(h.Method()) != 3 || len(h.Peek("Host")) == 0 {
			b.Fatalf("method %q, host %q", h.Method(), h.Peek("Host"))
		}
	}
}

func BenchmarkNetHTTP(b *testing.B) {
	var source strings.Reader
	reader := bufio.NewReaderSize(&source, DefaultMaxBytes)
	b.SetBytes(int64(len(browserHead)))
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(browserHead)
		reader.Reset(&source)
		if _, err := http.ReadRequest(reader); err != nil {
			b.Fatal(err)
		}
	}
}
