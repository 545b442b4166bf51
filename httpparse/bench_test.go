package httpparse

import (
	"bufio"
	"bytes"
	"flag"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"millrace/internal/testenv"
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

// BenchmarkParseByteByByte reports the cost of a byte when heads come one byte
// at a time: the same for a head of twice the length.
func BenchmarkParseByteByByte(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 8 << 10} {
		head := headOfSize(size)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				parseByteByByte(b, head)
			}
		})
	}
}

// headOfSize makes a good head of so many bytes, nearly all in one line.
func headOfSize(size int) []byte {
	const start, end = "GET / HTTP/1.1\r\nHost: h\r\nX: ", "\r\n\r\n"
	return []byte(start + strings.Repeat("a", size-len(start)-len(end)) + end)
}

func parseByteByByte(tb testing.TB, head []byte) {
	var r Request
	for i := range head {
		n, err := Parse(&r, head[:i+1], i, Limits{})
		if i+1 < len(head) && err != ErrNeedMore || i+1 == len(head) && n != len(head) {
			tb.Fatalf("Parse of %d of %d bytes = %d, %v", i+1, len(head), n, err)
		}
	}
}

// Ensure the ratios that the package is built for. They are of the best of
// several interleaved rounds in this one process.
func TestSpeedRatios(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds: left out by -short")
	}
	if testenv.Race {
		t.Skip("the race detector's instrumentation is what would be measured")
	}
	byteByByte := func(size int) func(*testing.B) {
		head := headOfSize(size)
		return func(b *testing.B) {
			for b.Loop() {
				parseByteByByte(b, head)
			}
		}
	}
	best := bestOf(t, 7, BenchmarkParse, BenchmarkFasthttp, BenchmarkNetHTTP, byteByByte(4<<10), byteByByte(8<<10))
	parse, fast, standard, once, twice := best[0], best[1], best[2], best[3], best[4]
	t.Logf("%d bytes: %v; fasthttp %v, %.1f times as long; net/http %v, %.1f times; 4 KB byte by byte %v, 8 KB %.2f times",
		len(browserHead), parse, fast, ratio(fast, parse), standard, ratio(standard, parse), once, ratio(twice, once))
	if ratio(fast, parse) <= 1 {
		t.Errorf("fasthttp takes %v, we take %v; want less", fast, parse)
	}
	if ratio(standard, parse) < 8 {
		t.Errorf("net/http takes %v, we take %v; want an eighth at most", standard, parse)
	}
	if ratio(twice, once) > 3 { // linear is 2, quadratic 4
		t.Errorf("byte by byte, 4 KB take %v and 8 KB %v; want about twice that", once, twice)
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// bestOf runs the benchmarks in turn, several rounds of a tenth of a second, and
// returns the shortest time per operation of each.
func bestOf(t *testing.T, rounds int, benchmarks ...func(*testing.B)) []time.Duration {
	t.Helper()
	benchtime := flag.Lookup("test.benchtime")
	defer benchtime.Value.Set(benchtime.Value.String())
	benchtime.Value.Set("100ms")
	best := make([]time.Duration, len(benchmarks))
	for range rounds {
		for i, benchmark := range benchmarks {
			result := testing.Benchmark(benchmark)
			if result.N == 0 {
				t.Fatal("a benchmark failed")
			}
			if per := result.T / time.Duration(result.N); best[i] == 0 || per < best[i] {
				best[i] = per
			}
		}
	}
	return best
}
