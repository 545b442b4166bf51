package httpparse

import (
	"fmt"
	"strings"
)

// crlf makes a head of lines: CRLF after each, a blank line at the end.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// get makes a good HTTP/1.1 GET with these additional header lines.
func get(lines ...string) string {
	return crlf(append([]string{"GET / HTTP/1.1", "Host: h"}, lines...)...)
}

// numbered makes n header lines.
func numbered(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("X-%d: %d", i, i)
	}
	return lines
}

// refusals are heads and unfinished heads together with the one right answer.
var refusals = []struct {
	in   string
	want *Error
}{
	// Lines.
	{"GET / HTTP/1.1\nHost: h\r\n\r\n", ErrBareLF},
	{"GET / HTTP/1.1\r\nHost: h\n\r\n", ErrBareLF},
	{"GET / HTTP/1.1\r\nHost: h\r\n\n", ErrBareLF},
	{"GET / HTTP/1.1\r\nHost: h\r\nX: a\nContent-Length: 5\r\n\r\n", ErrBareLF},
	{"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrBareLF},
	{get("X: a\rb"), ErrBareCR},
	{get("X: a\r"), ErrBareCR},
	{get("X: a\r\r\rb"), ErrBareCR},
	{get("X\r: a"), ErrBareCR},
	{get("\rX: a"), ErrBareCR},
	{"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", ErrBareCR},
	{crlf("GET\r/ HTTP/1.1", "Host: h"), ErrBareCR},
	{crlf("GET /\r HTTP/1.1", "Host: h"), ErrBareCR},
	{crlf("GET / HTTP/1.1\r", "Host: h"), ErrBareCR},

	// The request line.
	{"\r\n\r\n", ErrEmptyLine},
	{"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrEmptyLine},
	{"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrBareLF},
	{"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrBareCR},
	{"GARBAGE\r\n", ErrRequestLine},
	{"GET /\r\n", ErrRequestLine},
	{"GET \r\n", ErrRequestLine},
	{"GET  / HTTP/1.1\r\n", ErrRequestLine},
	{"GET / \r\n", ErrVersionFormat},
	{" GET / HTTP/1.1\r\n", ErrMethod},
	{"G(T / HTTP/1.1\r\n", ErrMethod},
	{"GET\t/ HTTP/1.1\r\n", ErrMethod},
	{"GE\x00T / HTTP/1.1\r\n", ErrMethod},
	{"G\xc3\x89T / HTTP/1.1\r\n", ErrMethod},
	{"GET /\x00 HTTP/1.1\r\n", ErrTargetByte},
	{"GET /\t HTTP/1.1\r\n", ErrTargetByte},
	{"GET /\x7f HTTP/1.1\r\n", ErrTargetByte},
	{"GET /caf\xc3\xa9 HTTP/1.1\r\n", ErrTargetByte},
	{"GET /a#b HTTP/1.1\r\n", ErrTargetByte},
	{"GET /a\\b HTTP/1.1\r\n", ErrTargetByte},
	{"GET /?q=\"a\" HTTP/1.1\r\n", ErrTargetByte},
	{"GET /<a> HTTP/1.1\r\n", ErrTargetByte},
	{"GET rooms/42 HTTP/1.1\r\n", ErrTargetForm},
	{"GET ?q HTTP/1.1\r\n", ErrTargetForm},
	{"GET * HTTP/1.1\r\n", ErrTargetForm},
	{"OPTIONS ** HTTP/1.1\r\n", ErrTargetForm},
	{"GET example.com:443 HTTP/1.1\r\n", ErrTargetForm},
	{"GET ftp://example.com/ HTTP/1.1\r\n", ErrTargetForm},
	{"GET http:/a HTTP/1.1\r\n", ErrTargetForm},
	{"GET http:a HTTP/1.1\r\n", ErrTargetForm},
	{"GET http:// HTTP/1.1\r\n", ErrTargetHost},
	{"GET http:///a HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://?a HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://user@example.com/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://example.com:80a/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://example.com:65536/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://exam%70le.com/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://[::1/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://[127.0.0.1]/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET http://[fe80::1%25eth0]/ HTTP/1.1\r\n", ErrTargetHost},
	{"CONNECT example.com HTTP/1.1\r\n", ErrTargetHost},
	{"CONNECT example.com: HTTP/1.1\r\n", ErrTargetHost},
	{"CONNECT :443 HTTP/1.1\r\n", ErrTargetHost},
	{"CONNECT / HTTP/1.1\r\n", ErrTargetHost},
	{"CONNECT http://example.com:443/ HTTP/1.1\r\n", ErrTargetHost},
	{"GET /%zz HTTP/1.1\r\n", ErrEscape},
	{"GET /% HTTP/1.1\r\n", ErrEscape},
	{"GET /a%4 HTTP/1.1\r\n", ErrEscape},
	{"GET /a%4?b HTTP/1.1\r\n", ErrEscape},
	{"GET http://h/%g0 HTTP/1.1\r\n", ErrEscape},
	{"GET / HTTP/1.1 \r\n", ErrVersionFormat},
	{"GET /  HTTP/1.1\r\n", ErrVersionFormat},
	{"GET /foo bar HTTP/1.1\r\n", ErrVersionFormat},
	{"GET / http/1.1\r\n", ErrVersionFormat},
	{"GET / HTTP/1\r\n", ErrVersionFormat},
	{"GET / HTTP/1.10\r\n", ErrVersionFormat},
	{"GET / HTTP/01.1\r\n", ErrVersionFormat},
	{"GET / HTTP/1,1\r\n", ErrVersionFormat},
	{"GET / HTTP/x.1\r\n", ErrVersionFormat},
	{"GET / ICE/1.0\r\n", ErrVersionFormat},
	{"GET / HTTP/1.2\r\n", ErrVersion},
	{"GET / HTTP/0.9\r\n", ErrVersion},
	{"GET / HTTP/2.0\r\n", ErrVersion},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrVersion},

	// Header lines. The first case has no blank line: judged at once.
	{"GET / HTTP/1.1\r\nbad line\r\n", ErrSpaceBeforeColon},
	{"GET / HTTP/1.1\r\n Host: h\r\n\r\n", ErrFold},
	{get("X: a", " b"), ErrFold},
	{get("X: a", "\tb"), ErrFold},
	{get("X: a", " ", "Y: b"), ErrFold},
	{get("X: a", " Content-Length: 5"), ErrFold},
	{get("Content-Length : 5"), ErrSpaceBeforeColon},
	{get("Transfer-Encoding\t: chunked"), ErrSpaceBeforeColon},
	{get("X Y: a"), ErrSpaceBeforeColon},
	{get("X"), ErrNoColon},
	{get(": a"), ErrHeaderName},
	{get("X@: a"), ErrHeaderName},
	{get("X\x00: a"), ErrHeaderName},
	{get("\xc3\x89: a"), ErrHeaderName},
	{get("X: a\x00b"), ErrHeaderValue},
	{get("X: \x01"), ErrHeaderValue},
	{get("X: 123456789\x1f"), ErrHeaderValue},
	{get("X: 1234567\x7f9"), ErrHeaderValue},
	{get("X: a\x0bb"), ErrHeaderValue},

	// The head as a whole.
	{crlf("GET / HTTP/1.1"), ErrNoHost},
	{crlf("GET http://h/ HTTP/1.1"), ErrNoHost},
	{crlf("GET / HTTP/1.1", "Hos: h", "Hosts: h"), ErrNoHost},
	{get("Host: h"), ErrManyHosts},
	{get("hOST: other"), ErrManyHosts},
	{crlf("GET / HTTP/1.0", "Host: a", "Host: b"), ErrManyHosts},
	{crlf("GET / HTTP/1.1", "Host: a/b"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: a b"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: a@b"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: a:b"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: a:1:2"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: :80"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: ::1"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: [::1]80"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: [::1"), ErrHost},
	{crlf("GET / HTTP/1.1", "Host: caf\xc3\xa9"), ErrHost},
	{crlf("GET http://a/ HTTP/1.1", "Host: b b"), ErrHost},
	{get("Content-Length:"), ErrContentLength},
	{get("Content-Length: -1"), ErrContentLength},
	{get("Content-Length: +1"), ErrContentLength},
	{get("Content-Length: 0x10"), ErrContentLength},
	{get("Content-Length: 1 2"), ErrContentLength},
	{get("Content-Length: 5, 5"), ErrContentLength},
	{get("Content-Length: 1e3"), ErrContentLength},
	{get("Content-Length: 9223372036854775808"), ErrContentLength},
	{get("Content-Length: 18446744073709551617"), ErrContentLength},
	{get("Content-Length: 5", "Content-Length: 5"), ErrManyLengths},
	{get("Content-Length: 5", "content-length: 6"), ErrManyLengths},
	{get("Content-Length: 5", "Transfer-Encoding: chunked"), ErrLengthAndCoding},
	{get("Transfer-Encoding: chunked", "Content-Length: 5"), ErrLengthAndCoding},
	{get("Transfer-Encoding: gzip", "Content-Length: x"), ErrLengthAndCoding},
	{crlf("GET / HTTP/1.0", "Transfer-Encoding: chunked"), ErrCodingOnHTTP10},
	{get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), ErrManyCodings},
	{get("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), ErrManyCodings},
	{get("Transfer-Encoding:"), ErrUnknownCoding},
	{get("Transfer-Encoding: gzip"), ErrUnknownCoding},
	{get("Transfer-Encoding: identity"), ErrUnknownCoding},
	{get("Transfer-Encoding: gzip, chunked"), ErrUnknownCoding},
	{get("Transfer-Encoding: chunked, chunked"), ErrUnknownCoding},
	{get("Transfer-Encoding: xchunked"), ErrUnknownCoding},
	{get("Transfer-Encoding: chunked;q=1"), ErrUnknownCoding},
	{get("Transfer-Encoding: \"chunked\""), ErrUnknownCoding},
	{get("Transfer-Encoding: chunked", "Trailer: X, content-length"), ErrForbiddenTrailer},
	{get("Transfer-Encoding: chunked", "Trailer: X", "Trailer: Transfer-Encoding"), ErrForbiddenTrailer},
	{get("Transfer-Encoding: chunked", "Trailer: trailer"), ErrForbiddenTrailer},

	// Limits, at their defaults.
	{"GET /" + strings.Repeat("a", DefaultMaxBytes), ErrTargetTooLong},
	{"GET /" + strings.Repeat("a", DefaultMaxBytes-len("GET /")), ErrTargetTooLong},
	{"GET /" + strings.Repeat("a", DefaultMaxBytes) + " HTTP/1.1\r\nHost: h\r\n\r\n", ErrTargetTooLong},
	{get("X: " + strings.Repeat("a", DefaultMaxBytes)), ErrHeadTooLarge},
	{"GET / HTTP/1.1\r\n" + strings.Repeat("X: a\r\n", DefaultMaxBytes/6+1), ErrHeadTooLarge},
	{get(numbered(MaxHeaders)...), ErrTooManyHeaders},
	{get(append(numbered(MaxHeaders), "bad")...), ErrNoColon},
}

// accepted are complete heads and what they are to be read as (see describe).
var accepted = []struct{ in, want string }{
	{get(), "GET / 1.1 host=h path=/ | Host=h"},
	{"\r\n" + get(), "GET / 1.1 host=h path=/ | Host=h"}, // RFC 9112, 2.2
	{crlf("GET / HTTP/1.0"), "GET / 1.0 host= path=/ |"},
	{crlf("GET / HTTP/1.0", "Host: h"), "GET / 1.0 host=h path=/ | Host=h"},
	{crlf("GET / HTTP/1.1", "Host:"), "GET / 1.1 host= path=/ | Host="},
	{crlf("GET / HTTP/1.1", "hOsT: h:8080"), "GET / 1.1 host=h:8080 path=/ | hOsT=h:8080"},
	{crlf("GET / HTTP/1.1", "Host: h:"), "GET / 1.1 host=h: path=/ | Host=h:"},
	{crlf("GET / HTTP/1.1", "Host: a_b-c.d!$&'()*+,;=~"), "GET / 1.1 host=a_b-c.d!$&'()*+,;=~ path=/ | Host=a_b-c.d!$&'()*+,;=~"},
	{crlf("GET / HTTP/1.1", "Host: [::1]:80"), "GET / 1.1 host=[::1]:80 path=/ | Host=[::1]:80"},

	// Methods.
	{crlf("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1", "Host: h"), "!#$%&'*+-.^_`|~09azAZ / 1.1 host=h path=/ | Host=h"},
	{crlf("get / HTTP/1.1", "Host: h"), "get / 1.1 host=h path=/ | Host=h"},

	// Targets.
	{crlf("GET /rooms/42?channel=/a&b=%zz HTTP/1.1", "Host: h"), "GET /rooms/42?channel=/a&b=%zz 1.1 host=h path=/rooms/42 query=channel=/a&b=%zz | Host=h"},
	{crlf("GET /? HTTP/1.1", "Host: h"), "GET /? 1.1 host=h path=/ query= | Host=h"},
	{crlf("GET /a?b?c HTTP/1.1", "Host: h"), "GET /a?b?c 1.1 host=h path=/a query=b?c | Host=h"},
	{crlf("GET /a%20%C3%a9 HTTP/1.1", "Host: h"), "GET /a%20%C3%a9 1.1 host=h path=/a%20%C3%a9 | Host=h"},
	{crlf("GET //a//b HTTP/1.1", "Host: h"), "GET //a//b 1.1 host=h path=//a//b | Host=h"},
	{crlf("GET /a:b@c[]^`{|} HTTP/1.1", "Host: h"), "GET /a:b@c[]^`{|} 1.1 host=h path=/a:b@c[]^`{|} | Host=h"},
	{crlf("GET /a?b=http://c/?d=e HTTP/1.1", "Host: h"), "GET /a?b=http://c/?d=e 1.1 host=h path=/a query=b=http://c/?d=e | Host=h"},
	{crlf("GET http://a:80/b?c HTTP/1.1", "Host: h"), "GET http://a:80/b?c 1.1 host=a:80 path=/b query=c | Host=h"},
	{crlf("GET HTTPS://a HTTP/1.1", "Host: h"), "GET HTTPS://a 1.1 host=a path=/ | Host=h"},
	{crlf("GET http://a?b/c HTTP/1.1", "Host: h"), "GET http://a?b/c 1.1 host=a path=/ query=b/c | Host=h"},
	{crlf("GET http://[2001:db8::1]/ HTTP/1.1", "Host: h"), "GET http://[2001:db8::1]/ 1.1 host=[2001:db8::1] path=/ | Host=h"},
	{crlf("OPTIONS * HTTP/1.1", "Host: h"), "OPTIONS * 1.1 host=h path=* | Host=h"},
	{crlf("OPTIONS /a HTTP/1.1", "Host: h"), "OPTIONS /a 1.1 host=h path=/a | Host=h"},
	{crlf("CONNECT a:443 HTTP/1.1", "Host: h"), "CONNECT a:443 1.1 host=a:443 path= | Host=h"},
	{crlf("CONNECT [::1]:443 HTTP/1.0"), "CONNECT [::1]:443 1.0 host=[::1]:443 path= |"},

	// Header lines.
	{get("X:"), "GET / 1.1 host=h path=/ | Host=h X="},
	{get("X: \t "), "GET / 1.1 host=h path=/ | Host=h X="},
	{get("X:a"), "GET / 1.1 host=h path=/ | Host=h X=a"},
	{get("X: \t a b\tc \t"), "GET / 1.1 host=h path=/ | Host=h X=a b\tc"},
	{get("X: a:b: c"), "GET / 1.1 host=h path=/ | Host=h X=a:b: c"},
	{get("X: caf\xc3\xa9 \xff\x80"), "GET / 1.1 host=h path=/ | Host=h X=caf\xc3\xa9 \xff\x80"},
	{get("X: a", "x: b", "X: a"), "GET / 1.1 host=h path=/ | Host=h X=a x=b X=a"},
	{get("!#$%&'*+-.^_`|~09azAZ: a"), "GET / 1.1 host=h path=/ | Host=h !#$%&'*+-.^_`|~09azAZ=a"},

	// Framing.
	{get("Content-Length: 0"), "GET / 1.1 host=h path=/ | Host=h Content-Length=0"},
	{get("content-length:  42 "), "GET / 1.1 host=h path=/ length=42 | Host=h content-length=42"},
	{get("Content-Length: 0000000000000000000000005"), "GET / 1.1 host=h path=/ length=5 | Host=h Content-Length=0000000000000000000000005"},
	{get("Content-Length: 9223372036854775807"), "GET / 1.1 host=h path=/ length=9223372036854775807 | Host=h Content-Length=9223372036854775807"},
	{get("Transfer-Encoding: Chunked"), "GET / 1.1 host=h path=/ chunked | Host=h Transfer-Encoding=Chunked"},
	{get("Transfer-Encoding: chunked", "Trailer: X, ,Y"), "GET / 1.1 host=h path=/ chunked | Host=h Transfer-Encoding=chunked Trailer=X, ,Y"},
	{get("Trailer: Content-Length"), "GET / 1.1 host=h path=/ | Host=h Trailer=Content-Length"},
}
