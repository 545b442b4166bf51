package abuse

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// asked is a request as an attacker writes it: its headers stand in pairs, and nothing is checked.
type asked struct {
	method, target, host string
	headers              []string
}

// answered is what matters of an answer: its status, and the first line of its body.
type answered struct{ status, body string }

// over1 asks over HTTP/1.1 with TLS.
func (v *victim) over1(a asked) answered {
	v.t.Helper()
	conn := v.dialSecure("http/1.1")
	defer conn.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", a.method, a.target, a.host)
	for pair := range slices.Chunk(a.headers, 2) {
		fmt.Fprintf(&b, "%s: %s\r\n", pair[0], pair[1])
	}
	io.WriteString(conn, b.String()+"\r\n")
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: a.method})
	if err != nil {
		return answered{status: err.Error()}
	}
	line, _ := bufio.NewReader(r.Body).ReadString('\n')
	return answered{fmt.Sprint(r.StatusCode), line}
}

// dialSecure opens a connection of a protocol.
func (v *victim) dialSecure(protocol string) *tls.Conn {
	v.t.Helper()
	conn, err := tls.Dial("tcp", v.secure, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{protocol}})
	if err != nil {
		v.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// over2 asks over HTTP/2.
func (v *victim) over2(a asked) answered {
	v.t.Helper()
	conn := v.dialSecure("h2")
	defer conn.Close()
	io.WriteString(conn, http2.ClientPreface)
	f := http2.NewFramer(conn, conn)
	f.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := append([]string{":method", a.method, ":scheme", "https", ":authority", a.host, ":path", a.target}, a.headers...)
	for pair := range slices.Chunk(fields, 2) {
		encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(pair[0]), Value: pair[1]})
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var got answered
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return answered{status: err.Error()}
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			return answered{status: fmt.Sprintf("400, as RST_STREAM %v", frame.ErrCode)}
		case *http2.GoAwayFrame:
			return answered{status: fmt.Sprintf("GOAWAY %v", frame.ErrCode)}
		case *http2.MetaHeadersFrame:
			got.status = frame.PseudoValue("status")
			if frame.StreamEnded() {
				return got
			}
		case *http2.DataFrame:
			if line, _, isLine := strings.Cut(string(frame.Data()), "\n"); isLine {
				got.body = line + "\n"
			}
			return got
		}
	}
}

// Ensure that a request means over HTTP/2 what it means over HTTP/1.1, or is refused over both:
// whatever stands in its target, its host and its headers.
func TestHTTP2MeansTheSame(t *testing.T) {
	v := start(t, setup{flags: []string{"--channel", "/a/*", "--channel", "/b", "--host", "localhost", "--allow-origin", "https://example.org"}})
	var requests []asked
	for _, target := range []string{
		"/b", "/a/x", "/c", "/", "*", "//b", "/b/", "/b#x", "/b?x#y", "/b x", "/b\tx", "/%62", "/a%2Fx", "/a/../b", "/a/%2e%2e/b", "/./b", "/a//x",
		"/b%00", "/b%0d%0a", "/b%", "/b%zz", "/b\x7f", "/b\xff", "/a/\u00e9", "b", "?x", "http://localhost/b", "https://localhost/b", "http://elsewhere/b", "localhost:443",
		"/b?channel=/a/y", "/b?channel=/c", "/b?channel=%2Fc", "/b;x", "/healthz", "/healthz?x", "/%68ealthz", "/favicon.ico", "/b?" + strings.Repeat("x", 9000),
		"/" + strings.Repeat("a/", 200), "/b?last-event-id=x%0ay",
	} {
		requests = append(requests, asked{"GET", target, "localhost", nil})
	}
	for _, host := range []string{"LOCALHOST", "localhost.", "localhost:8443", "localhost:", "localhost:x", "user@localhost", "elsewhere", "[::1]", "", "localhost elsewhere", "localhost,elsewhere", "localhost/b", "localhost\x00"} {
		requests = append(requests, asked{"GET", "/b", host, nil})
	}
	for _, method := range []string{"HEAD", "OPTIONS", "POST", "PUT", "get", "G ET", "", "PRI", "TRACE"} {
		requests = append(requests, asked{method, "/b", "localhost", nil})
	}
	for _, headers := range [][]string{
		{"Accept", "text/html"}, {"Accept", "text/event-stream;q=0"}, {"Accept", "text/event-stream;q=0", "Accept", "*/*"},
		{"Origin", "https://example.org"}, {"Origin", "https://example.org\x00"}, {"X-Y", "a\x00b"}, {"X-Y", "a\rb"}, {"X Y", "z"}, {"X-Y:", "z"}, {"", "z"}, {"X-Y", ""}, {"X-Y", "\xff"},
		{"Content-Length", "0"}, {"Content-Length", "+1"}, {"Content-Length", "1, 1"}, {"Content-Length", "0", "Content-Length", "1"},
		{"Last-Event-ID", "x", "Last-Event-ID", "y"}, {"Host", "elsewhere"}, {"Host", "localhost"}, {"Expect", "100-continue"}, {"Cookie", "a=1", "Cookie", "b=2"},
		{"X-Y", strings.Repeat("x", 15000)}, {"X-Y", strings.Repeat("x", 17000)}, slices.Repeat([]string{"X-Y", "z"}, 70),
	} {
		requests = append(requests, asked{"GET", "/b", "localhost", headers})
	}
	differ := map[string]string{ // with the reason
		"{GET http://localhost/b localhost []}":  "HTTP/2 has no absolute form",
		"{GET https://localhost/b localhost []}": "the same",
		"{GET /b localhost [X-Y: z]}":            "in HTTP/1.1 the second colon is of the value",
		"{GET /b localhost [Host localhost]}":    "in HTTP/1.1 it stands twice",
	}
	for _, a := range requests {
		one, two := v.over1(a), v.over2(a)
		areRefused := one.status[0] == '4' && two.status[0] == '4'
		if one != two && !areRefused && differ[fmt.Sprint(a)] == "" {
			t.Errorf("%.120q: HTTP/1.1 answers %q, HTTP/2 %q", fmt.Sprint(a), one, two)
		}
	}
}
