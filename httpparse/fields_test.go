package httpparse

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fromFields makes a request of headers, each as "name: value", in a used Request.
func fromFields(method, authority, target string, headers ...string) (*Request, error) {
	r := &Request{Method: root, Target: root, Host: root, Path: root, Query: root, Minor: 7, ContentLength: 7, Chunked: true, count: 7}
	r.Begin()
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if err := r.Add([]byte(name), []byte(value)); err != nil {
			return r, err
		}
	}
	var host []byte
	if authority != "-" {
		host = []byte(authority)
	}
	return r, r.Complete([]byte(method), host, []byte(target), Limits{})
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		method, authority, target string // authority "-" for none
		headers                   []string
		want                      string
	}{
		{"GET", "h", "/a?b", nil, "GET /a?b 1.0 host=h path=/a query=b |"},
		{"GET", "h:443", "/", []string{"accept: a", "accept: b"}, "GET / 1.0 host=h:443 path=/ | accept=a accept=b"},
		{"GET", "-", "/", []string{"host: h"}, "GET / 1.0 host=h path=/ | host=h"},
		{"GET", "a", "/", []string{"host: b"}, "GET / 1.0 host=a path=/ | host=b"}, // the server's to judge
		{"POST", "h", "/", []string{"content-length: 5"}, "POST / 1.0 host=h path=/ length=5 | content-length=5"},
		{"OPTIONS", "h", "*", nil, "OPTIONS * 1.0 host=h path=* |"},
		{"CONNECT", "h:1", "", nil, "CONNECT h:1 1.0 host=h:1 path= |"},
		{"GET", "-", "/", nil, ErrNoHost.text},
		{"GET", "", "/", nil, ErrTargetHost.text},
		{"GET", "user@h", "/", nil, ErrTargetHost.text},
		{"GET", "h", "", nil, ErrTargetForm.text},
		{"GET", "h", "*", nil, ErrTargetForm.text},
		{"GET", "h", "http://h/", nil, ErrTargetForm.text},
		{"GET", "h", "/a b", nil, ErrTargetByte.text},
		{"GET", "h", "/%4", nil, ErrEscape.text},
		{"G T", "h", "/", nil, ErrMethod.text},
		{"", "h", "/", nil, ErrMethod.text},
		{"GET", "h", "/", []string{": a"}, ErrHeaderName.text},
		{"GET", "h", "/", []string{"a b: a"}, ErrHeaderName.text},
		{"GET", "h", "/", []string{"a: \r"}, ErrHeaderValue.text},
		{"GET", "h", "/", []string{"host: a", "host: a"}, ErrManyHosts.text},
		{"GET", "h", "/", []string{"host: a b"}, ErrHost.text},
		{"GET", "h", "/", []string{"content-length: x"}, ErrContentLength.text},
		{"GET", "h", "/", numbered(MaxHeaders + 1), ErrTooManyHeaders.text},
	} {
		r, err := fromFields(c.method, c.authority, c.target, c.headers...)
		got := describe(r)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s %s %q: %s; want %s", c.method, c.authority, c.target, c.headers, got, c.want)
		}
	}
}

// Ensure that a head in fields is judged and read as the same head in text is.
func TestFieldsAreReadAsText(t *testing.T) {
	part := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	header := rapid.OneOf(
		part("host: h", "host: ", "host: x y", "content-length: 0", "content-length: 12", "content-length: +1", "accept: a, b", "x: \x01", "x y: z", "cookie: a=b"),
		rapid.StringMatching(`[a-z!]{1,5}: [ -~]{0,9}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		method := part("GET", "HEAD", "OPTIONS", "POST", "G(T").Draw(t, "method")
		target := rapid.OneOf(part("/", "/a?b=c", "/%41", "/%4", "*", "/a#b", "//h/"), rapid.StringMatching(`/[!-~]{0,9}`)).Draw(t, "target")
		headers := rapid.SliceOfN(header, 0, 4).Draw(t, "headers")
		for i, h := range headers { // whitespace around a value is no part of it
			name, value, _ := strings.Cut(h, ": ")
			headers[i] = name + ": " + strings.Trim(value, " ")
		}
		text := Request{}
		_, wantErr := Parse(&text, []byte(crlf(append([]string{method + " " + target + " HTTP/1.1"}, headers...)...)), 0, Limits{})
		fields, err := fromFields(method, "-", target, headers...)
		if (err == nil) != (wantErr == nil) { // which error is the first depends on the order of judging
			t.Fatalf("%s %s %q: fields %v, text %v", method, target, headers, err, wantErr)
		}
		if err == nil {
			if got, want := describe(fields), strings.Replace(describe(&text), " 1.1 ", " 1.0 ", 1); got != want {
				t.Fatalf("fields are read as\n%s; text as\n%s", got, want)
			}
		}
	})
}

func TestFieldsDoNotAllocate(t *testing.T) {
	var r Request
	name, value, method, path := []byte("last-event-id"), []byte("7"), []byte("GET"), []byte("/a")
	if n := testing.AllocsPerRun(100, func() {
		r.Begin()
		if r.Add(name, value) != nil || r.Complete(method, value, path, Limits{}) != nil || !bytes.Equal(r.Host, value) {
			t.Error("the request is refused")
		}
	}); n != 0 {
		t.Errorf("Begin, Add and Complete allocate %v times", n)
	}
}
