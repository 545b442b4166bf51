package h2

import (
	"fmt"
	"strings"
	"testing"

	"millrace/httpparse"
)

// Ensure that a header block is judged as RFC 9113, 8.2 and 8.3, and httpparse have it.
func TestRequests(t *testing.T) {
	const base = ":method: GET|:scheme: https|:authority: h|:path: /"
	for _, c := range []struct{ fields, want string }{
		{base, "GET / host=h"},
		{":path: /|:authority: h|:scheme: http|:method: GET", "GET / host=h"},
		{":method: GET|:scheme: https|:path: /|host: h", "GET / host=h host=h"},
		{base + "|te: trailers", "GET / host=h te=trailers"},
		{base + "|x:  ", "malformed whitespace around the value of a field"},
		{base + "|x: a ", "malformed whitespace around the value of a field"},
		{base + "|x: \ta", "malformed whitespace around the value of a field"},
		{base + "|x: ", "GET / host=h x="},
		{base + "|x: a\nb", "malformed " + httpparse.ErrHeaderValue.Error()},
		{base + "|x: \x00", "malformed " + httpparse.ErrHeaderValue.Error()},
		{base + "|cookie: a=\r", "malformed " + httpparse.ErrHeaderValue.Error()},
		{base + "|X: a", "malformed a capital letter in the name of a field"},
		{base + "|x y: a", "malformed " + httpparse.ErrHeaderName.Error()},
		{base + "|\xff: a", "malformed " + httpparse.ErrHeaderName.Error()},
		{base + "|connection: close", "malformed a field that is of HTTP/1.1's connections"},
		{base + "|proxy-connection: close", "malformed a field that is of HTTP/1.1's connections"},
		{base + "|keep-alive: 5", "malformed a field that is of HTTP/1.1's connections"},
		{base + "|transfer-encoding: chunked", "malformed a field that is of HTTP/1.1's connections"},
		{base + "|upgrade: websocket", "malformed a field that is of HTTP/1.1's connections"},
		{base + "|te: gzip", "malformed a te that is not trailers"},
		{base + "|:path: /", "malformed a pseudo-header field that stands twice"},
		{base + "|:status: 200", "malformed a pseudo-header field that no request has"},
		{base + "|:protocol: websocket", "malformed a pseudo-header field that no request has"},
		{":method: GET|:scheme: https|x: y|:path: /", "malformed a pseudo-header field after another field"},
		{":scheme: https|:path: /|:authority: h", "malformed a request without a method"},
		{":method: GET|:path: /|:authority: h", "malformed a request without a scheme or a path"},
		{":method: GET|:scheme: https|:authority: h", "malformed a request without a scheme or a path"},
		{":method: GET|:scheme: https|:authority: h|:path: ", "malformed a request without a scheme or a path"},
		{":method: CONNECT|:authority: h:1", "CONNECT h:1 host=h:1"},
		{":method: CONNECT|:authority: h:1|:path: /", "malformed a CONNECT with another target than an authority"},
		{":method: CONNECT", "malformed a CONNECT with another target than an authority"},
		{base + "|content-length: 0", "GET / host=h content-length=0"},
		{base + "|content-length: 1", "malformed an announced content that does not come"},
		{base + "|content-length: x", "malformed " + httpparse.ErrContentLength.Error()},
		{base + "|content-length: 0|content-length: 0", "malformed " + httpparse.ErrManyLengths.Error()},

		{":method: GET|:scheme: https|:path: /", "answer 400 " + httpparse.ErrNoHost.Error()},
		{":method: GET|:scheme: https|:authority: a@b|:path: /", "answer 400 " + httpparse.ErrTargetHost.Error()},
		{":method: GET|:scheme: https|:authority: |:path: /", "answer 400 " + httpparse.ErrTargetHost.Error()},
		{":method: GET|:scheme: ftp|:authority: h|:path: /", "answer 400 " + httpparse.ErrTargetForm.Error()},
		{":method: GET|:scheme: https|:authority: h|:path: a", "answer 400 " + httpparse.ErrTargetForm.Error()},
		{":method: GET|:scheme: https|:authority: h|:path: /%", "answer 400 " + httpparse.ErrEscape.Error()},
		{":method: G T|:scheme: https|:authority: h|:path: /", "answer 400 " + httpparse.ErrMethod.Error()},
		{base + strings.Repeat("|x: y", httpparse.MaxHeaders+1), "answer 431 " + httpparse.ErrTooManyHeaders.Error()},
		{base + strings.Repeat("|cookie: a=b", httpparse.MaxHeaders+1), "GET / host=h cookie=a=b" + strings.Repeat("; a=b", httpparse.MaxHeaders)},
		{base + "|x: " + strings.Repeat("a", 16<<10-200), "GET / host=h x=" + strings.Repeat("a", 16<<10-200)},
		{base + "|x: " + strings.Repeat("a", 16<<10), "answer 431 " + httpparse.ErrHeadTooLarge.Error()},
		{base + strings.Repeat("|x: y", 600), "answer 431 " + httpparse.ErrHeadTooLarge.Error()},
	} {
		peer, s := newClient(), newServer()
		peer.obey()
		block := peer.encode(strings.Split(c.fields, "|")...)
		s.feed(t, append(peer.Bytes(), blockFrames(1, block, true)...))
		if got := judgement(s); got != c.want {
			t.Errorf("the fields %.200q: %.200s; want %.200s", c.fields, got, c.want)
		}
		if n := len(s.reader.fields.text); n > httpparse.DefaultMaxBytes {
			t.Errorf("the fields %.200q: %d bytes are kept, want at most %d", c.fields, n, httpparse.DefaultMaxBytes)
		}
		if s.err != nil {
			t.Errorf("the fields %.200q: the connection ended by %v", c.fields, s.err)
		}
	}
}

// judgement is what has become of the first request.
func judgement(s *server) string {
	told := s.told[1] // after that the settings are acknowledged
	if request, ok := strings.CutPrefix(told, "opened 1 "); ok {
		if text, ok := strings.CutPrefix(request, "refused: "); ok {
			for _, e := range []*httpparse.Error{httpparse.ErrHeadTooLarge, httpparse.ErrTooManyHeaders} {
				if text == e.Error() {
					return fmt.Sprintf("answer %d %s", e.Status, text)
				}
			}
			return "answer 400 " + text
		}
		return request
	}
	if len(s.told) == 3 && told == "> RST_STREAM 1 PROTOCOL_ERROR" {
		return "malformed " + strings.TrimPrefix(s.told[2], "refused 1: HTTP/2: ")
	}
	return strings.Join(s.told, "\n")
}

// blockFrames returns the frames of a header block, of whatever length.
func blockFrames(stream uint32, block []byte, end bool) (frames []byte) {
	typ, flags := typeHeaders, uint8(0)
	if end {
		flags = flagEndStream
	}
	for {
		n := min(len(block), MaxPayload)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		frames = appendHeader(frames, n, typ, flags, stream)
		frames = append(frames, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return frames
		}
		typ, flags = typeContinuation, 0
	}
}

// Ensure that a decoder that has failed is not used for another connection.
func TestDecoderIsReplaced(t *testing.T) {
	s := newServer()
	first := s.reader.tableless
	for _, block := range []string{"\x40", "\xff\xff\xff\xff\x0f", "\x00\x7f\xff\xff\xff\x0f"} {
		s.conn.Open(0)
		s.told, s.err, s.rest = nil, nil, nil
		bad := newClient()
		bad.obey()
		s.feed(t, append(bad.Bytes(), blockFrames(1, []byte(block), true)...))
		if s.err == nil || s.reader.tableless == first {
			t.Errorf("the block %x: no error, or no other decoder, but %q", block, s.told)
		}
		s.conn.Open(0)
		s.told, s.err, s.rest = nil, nil, nil
		good := newClient()
		good.obey()
		good.get(1, "/")
		s.feed(t, good.Bytes())
		if got := judgement(s); got != "GET / host=h" {
			t.Errorf("after the block %x on another connection: %q", block, s.told)
		}
		clear(s.streams)
		first = s.reader.tableless
	}
}

// Ensure that a head above a low limit is refused by an answer, too, and not with its connection.
func TestLowLimit(t *testing.T) {
	c, s := newClient(), newServer()
	s.reader = NewReader(Limits{Head: httpparse.Limits{MaxBytes: 500}, Streams: 1})
	s.table = s.reader.NewTable()
	c.get(1, "/", "x: "+strings.Repeat("a", 4000))
	s.feed(t, c.Bytes())
	if got, want := judgement(s), "answer 431 "+httpparse.ErrHeadTooLarge.Error(); got != want {
		t.Errorf("a head of 4,000 bytes where 500 are allowed: %s; want %s", got, want)
	}
}
