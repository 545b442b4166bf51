package httpparse

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// addCases seeds a fuzz target with the tables.
func addCases(add func(in string)) {
	add(browserHead)
	for _, c := range accepted {
		add(c.in)
	}
	for _, c := range refusals {
		if len(c.in) < 1000 {
			add(c.in)
		}
	}
}

// FuzzAgainstNetHTTP ensures that nothing is accepted that net/http refuses, and
// that what both accept they read alike.
func FuzzAgainstNetHTTP(f *testing.F) {
	addCases(func(in string) { f.Add([]byte(in)) })
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Request
		n, err := Parse(&r, in, 0, Limits{})
		if err != nil {
			return
		}
		head := strings.TrimPrefix(string(in[:n]), "\r\n") // which net/http does not skip
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			t.Fatalf("%q is accepted and net/http says: %v", head, err)
		}
		checkAgree(t, head, &r, req)
	})
}

func checkAgree(t *testing.T, head string, r *Request, req *http.Request) {
	t.Helper()
	same := func(what string, got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("%q: %s is %q; net/http has %q", head, what, got, want)
		}
	}
	same("method", r.Method, req.Method)
	same("target", r.Target, req.RequestURI)
	same("host", r.Host, req.Host)
	same("query", r.Query, req.URL.RawQuery)
	path, err := AppendPathDecoded(nil, r.Path)
	if err != nil {
		t.Errorf("%q: decoding the path %q: %v", head, r.Path, err)
	}
	if len(r.Path) > 0 && &r.Path[0] == &root[0] {
		path = nil // net/http leaves it empty
	}
	same("path", path, req.URL.Path)

	if req.ProtoMajor != 1 || req.ProtoMinor != r.Minor {
		t.Errorf("%q: version is 1.%d; net/http has %s", head, r.Minor, req.Proto)
	}
	length := r.ContentLength
	if r.Chunked {
		length = -1
	}
	if chunked := slices.Equal(req.TransferEncoding, []string{"chunked"}); length != req.ContentLength || chunked != r.Chunked {
		t.Errorf("%q: content length is %d; net/http has %d, %q", head, length, req.ContentLength, req.TransferEncoding)
	}

	// net/http keeps these elsewhere than among the headers, and adds one.
	moved := func(name string) bool {
		return name == "Host" || name == "Transfer-Encoding" || name == "Trailer" && r.Chunked
	}
	headers := http.Header{}
	for _, h := range r.Headers() {
		if name := string(h.Name); !moved(http.CanonicalHeaderKey(name)) {
			headers.Add(name, string(h.Value))
		}
	}
	if _, ok := r.Get("Cache-Control"); !ok {
		req.Header.Del("Cache-Control") // made of Pragma
	}
	if len(headers) != len(req.Header) {
		t.Errorf("%q: headers are %q; net/http has %q", head, headers, req.Header)
	}
	for name, values := range headers {
		if !slices.Equal(values, req.Header[name]) {
			t.Errorf("%q: header %s is %q; net/http has %q", head, name, values, req.Header[name])
		}
	}
}

// FuzzCuts ensures that the answer depends neither on how the bytes are cut into
// reads, nor on bytes beyond the limit, nor on bytes beyond the head.
func FuzzCuts(f *testing.F) {
	addCases(func(in string) {
		f.Add([]byte(in), uint(len(in)/3), uint(len(in)/2), uint(0), uint(0))
		f.Add([]byte(in), uint(len(in)-1), uint(len(in)), uint(len(in)-2), uint(2))
	})
	f.Fuzz(func(t *testing.T, input []byte, first, second, maxBytes, maxHeaders uint) {
		in := string(input)
		size := uint(len(in))
		first %= size + 1
		second = first + second%(size-first+1)
		lim := Limits{MaxBytes: int(maxBytes % (2*size + 2)), MaxHeaders: int(maxHeaders % (MaxHeaders + 2))}

		whole := outcomeOf(in, 0, lim)
		if got := feed(in, lim, int(first), int(second)); got != whole {
			t.Fatalf("%q with %+v cut at %d and %d: %v; uncut %v", in, lim, first, second, got, whole)
		}
		if whole.err == ErrNeedMore {
			return
		}
		if got := outcomeOf(in+"\r\n\r\nmore\x00\n", 0, lim); got != whole {
			t.Fatalf("%q with %+v and more after it: %v; alone %v", in, lim, got, whole)
		}
		if limit := lim.orDefaults().MaxBytes; limit < len(in) {
			if got := outcomeOf(in[:limit], 0, lim); got != whole {
				t.Fatalf("%q with %+v, cut off at the limit: %v; uncut %v", in, lim, got, whole)
			}
		}
	})
}
