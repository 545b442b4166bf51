package httpparse

import (
	"slices"
	"testing"
)

func mustParse(t testing.TB, in string) *Request {
	t.Helper()
	r := new(Request)
	if n, err := Parse(r, []byte(in), 0, Limits{}); err != nil || n != len(in) {
		t.Fatalf("Parse(%q) = %d, %v", in, n, err)
	}
	return r
}

func TestHeadersByName(t *testing.T) {
	r := mustParse(t, get("Accept: a", "X-Empty:", "ACCEPT: b", "Accept-: c", "^: d", "~: e"))
	for _, c := range []struct {
		name string
		want []string
	}{
		{"Accept", []string{"a", "b"}},
		{"aCCEPT", []string{"a", "b"}},
		{"x-empty", []string{""}},
		{"host", []string{"h"}},
		{"^", []string{"d"}}, // differs from ~ by the bit that tells case
		{"~", []string{"e"}},
		{"Accep", nil},
		{"", nil},
	} {
		var values []string
		for v := range r.Values(c.name) {
			values = append(values, string(v))
		}
		if !slices.Equal(values, c.want) {
			t.Errorf("Values(%q) = %q; want %q", c.name, values, c.want)
		}
		first, ok := r.Get(c.name)
		if ok != (len(c.want) > 0) || ok && string(first) != c.want[0] {
			t.Errorf("Get(%q) = %q, %v; want the first of %q", c.name, first, ok, c.want)
		}
	}
	for v := range r.Values("Accept") {
		if string(v) != "a" {
			t.Errorf("Values(Accept) went on to %q after a break", v)
		}
		break
	}
}

// Ensure that slices of the request are windows on the buffer, which a server
// relies on when it keeps offsets.
func TestRequestAliasesBuffer(t *testing.T) {
	buf := []byte(crlf("GET /path?query HTTP/1.1", "Host: host"))
	var r Request
	if _, err := Parse(&r, buf, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	for i, c := range buf {
		if 'a' <= c && c <= 'z' {
			buf[i] = c - 'a' + 'A'
		}
	}
	if got, want := describe(&r), "GET /PATH?QUERY 1.1 host=HOST path=/PATH query=QUERY | HOST=HOST"; got != want {
		t.Errorf("after a change of the buffer: %s; want %s", got, want)
	}
}

func TestCheckFetch(t *testing.T) {
	for _, c := range []struct {
		in   string
		want error
	}{
		{get(), nil},
		{get("Content-Length: 0"), nil},
		{crlf("HEAD / HTTP/1.1", "Host: h"), nil},
		{crlf("OPTIONS * HTTP/1.1", "Host: h"), nil},
		{crlf("POST / HTTP/1.1", "Host: h"), ErrMethodNotAllowed},
		{crlf("get / HTTP/1.1", "Host: h"), ErrMethodNotAllowed},
		{crlf("CONNECT a:1 HTTP/1.1", "Host: h"), ErrMethodNotAllowed},
		{crlf("POST / HTTP/1.1", "Host: h", "Content-Length: 1"), ErrMethodNotAllowed},
		{get("Content-Length: 1"), ErrContent},
		{get("Transfer-Encoding: chunked"), nil},
	} {
		if got := mustParse(t, c.in).CheckFetch(); got != c.want {
			t.Errorf("CheckFetch of %q = %v; want %v", c.in, got, c.want)
		}
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	r := mustParse(t, browserHead)
	found := 0
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := r.Get("cookie"); ok {
			found++
		}
		for range r.Values("Accept") {
			found++
		}
		if r.CheckFetch() == nil {
			found++
		}
	}); n != 0 || found == 0 {
		t.Errorf("Get, Values and CheckFetch allocate %v times", n)
	}
}
