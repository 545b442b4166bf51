package httpparse

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// llhttpDir holds the request cases of llhttp's test suite, where a checkout has
// them beside it.
const llhttpDir = "../../shared/llhttp"

// llhttpDifferences are the cases, by file and heading, on whose first head we
// deliberately say something else than the log.
var llhttpDifferences = map[string]string{
	"invalid: HTTP protocol and ANNOUNCE method": anyToken,
	"invalid: Invalid method":                    anyToken,

	"sample: No HTTP version": "HTTP/0.9 has no version; RFC 9112 section 3 requires one",

	"method: SOURCE request with ICE":    otherProtocol,
	"method: OPTIONS request with RTSP":  otherProtocol,
	"method: ANNOUNCE request with RTSP": otherProtocol,
	"method: M-SEARCH request":           "the asterisk-form is for OPTIONS only (RFC 9112 section 3.2.4)",

	"uri: Quotes in URI":              "a quote and a backslash cannot stand in a URI (RFC 3986)",
	"uri: Fragment in URI":            fragment,
	"uri: `host:port` and basic auth": "user information in a target is refused (RFC 9110 section 4.2.4)",

	"transfer-encoding: POST with `chunked` as last transfer-encoding":                    fragment + "; and the only coding taken is chunked",
	"transfer-encoding: POST with `chunked` as last transfer-encoding (multiple headers)": fragment + "; and the only coding taken is chunked",
	"transfer-encoding: POST with `chunkedchunked` as transfer-encoding":                  fragment + "; and the only coding taken is chunked",
	"transfer-encoding: Ignoring `pigeons`":                                               "an unknown coding is answered 501 (RFC 9112 section 6.1)",

	"connection: Resetting flags when keep-alive is off (1.0, lenient)": lenientLater,
	"connection: CRLF between requests, explicit `close` (lenient)":     lenientLater,
	"lenient-headers: Second request header value (lenient)":            lenientLater,
	"transfer-encoding: Chunk header not terminated by CRLF (lenient)":  lenientLater,
	"transfer-encoding: Chunk data not terminated by CRLF (lenient)":    lenientLater,
	"transfer-encoding: Space after chunk header (lenient)":             lenientLater,
}

// Reasons that several differences share.
const (
	anyToken      = "any token is a method (RFC 9110 section 9.1); CheckFetch answers 405"
	otherProtocol = "only HTTP is spoken here"
	fragment      = "a fragment is not part of a request target (RFC 9112 section 3.2)"
	lenientLater  = "what is lenient there is the body or the next request; this head is good"
)

// TestLLHTTP compares the first head of every request case with its log: whether
// it is accepted, and then method, target and headers. Logs of the lenient modes
// are not ours to follow: such a head is to be refused.
//
// llhttp does not care for Host. Where it is all that is missing, that is
// asserted and the case goes on with one put in. Nor does it wait for the end of
// a line to refuse it: where it refuses and we want more, we get the blank line.
func TestLLHTTP(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(llhttpDir, "*.md"))
	if len(files) == 0 {
		t.Skipf("the cases of llhttp are not in %s", llhttpDir)
	}
	ran, noHost := 0, 0
	names := map[string]bool{}
	for _, file := range files {
		for _, c := range readLLHTTP(t, file) {
			for names[c.name] {
				c.name += " (again)"
			}
			names[c.name] = true
			ran++

			in := c.in
			got := describeLikeLLHTTP(in)
			if got == "incomplete" && c.want == "refused" {
				in += "\r\n\r\n"
				got = describeLikeLLHTTP(in)
			}
			if got == "error "+strconv.Quote(ErrNoHost.Error()) {
				noHost++
				line := len(in) - len(strings.TrimPrefix(in, "\r\n"))
				line += strings.Index(in[line:], "\r\n") + 2
				got = describeLikeLLHTTP(in[:line] + "Host: added\r\n" + in[line:])
				got = strings.Replace(got, "\nHost: added", "", 1)
			}
			same := got == c.want || c.want == "refused" && strings.HasPrefix(got, "error ")
			reason, listed := llhttpDifferences[c.name]
			switch {
			case !same && !listed:
				t.Errorf("%s: %q is\n%s\nwhere llhttp has\n%s", c.name, c.in, got, c.want)
			case same && listed:
				t.Errorf("%s: listed as different (%s) and is not", c.name, reason)
			}
		}
	}
	for name := range llhttpDifferences {
		if !names[name] {
			t.Errorf("%s: listed as different and not among the cases", name)
		}
	}
	t.Logf("%d cases, %d of them completed with a Host, %d deliberate differences", ran, noHost, len(llhttpDifferences))
}

type llhttpCase struct {
	name string // file and heading
	in   string
	want string // what describeLikeLLHTTP should return, or "refused"
}

// describeLikeLLHTTP parses in and tells the outcome in the terms of a log.
func describeLikeLLHTTP(in string) string {
	var r Request
	_, err := Parse(&r, []byte(in), 0, Limits{})
	switch {
	case err == ErrNeedMore:
		return "incomplete"
	case err != nil:
		return fmt.Sprintf("error %q", err)
	}
	s := fmt.Sprintf("%s %s 1.%d", r.Method, r.Target, r.Minor)
	for _, h := range r.Headers() {
		s += fmt.Sprintf("\n%s: %s", h.Name, h.Value)
	}
	return s
}

var (
	llhttpMeta = regexp.MustCompile(`"type": ?"([^"]*)"`)
	llhttpSpan = regexp.MustCompile(`^off=(\d+) len=(\d+) span\[(\w+)\]`)
	llhttpHex  = regexp.MustCompile(`\\x[0-9a-fA-F]+`)
)

// readLLHTTP returns the request cases of a file: a heading, a comment with the
// type, a block of input, a block with the log.
func readLLHTTP(t *testing.T, file string) (cases []llhttpCase) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var heading, kind, in, block string
	var content strings.Builder
	for line := range strings.Lines(string(text)) {
		bare := strings.TrimRight(line, "\n")
		switch {
		case block != "" && bare == "```":
			switch block {
			case "http":
				in = unescapeLLHTTP(content.String())
			case "log":
				if in != "" && strings.HasPrefix(kind, "request") {
					name := strings.TrimSuffix(filepath.Base(file), ".md") + ": " + heading
					want := wantLLHTTP(t, name, in, content.String())
					if strings.HasPrefix(kind, "request-lenient") {
						want = "refused"
					}
					cases = append(cases, llhttpCase{name, in, want})
				}
				in = ""
			}
			block = ""
			content.Reset()
		case block != "":
			content.WriteString(line)
		case strings.HasPrefix(bare, "```"):
			block = bare[3:]
		case strings.HasPrefix(bare, "#"):
			heading, kind = strings.TrimLeft(bare, "# "), ""
		default:
			if m := llhttpMeta.FindStringSubmatch(bare); m != nil {
				kind = m[1]
			}
		}
	}
	return cases
}

// unescapeLLHTTP undoes the notation of the input blocks: a backslash joins
// lines, line ends mean CRLF, and control characters are written as escapes.
func unescapeLLHTTP(s string) string {
	s = strings.TrimSuffix(s, "\n")
	s = strings.ReplaceAll(s, "\\\n", "")
	s = strings.ReplaceAll(s, "\n", "\r\n")
	s = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\f`, "\f").Replace(s)
	return llhttpHex.ReplaceAllStringFunc(s, func(escape string) string {
		c, _ := strconv.ParseUint(escape[2:], 16, 8)
		return string(rune(c)) // in UTF-8, as the offsets in the logs show
	})
}

// wantLLHTTP reads the outcome of the first head from a log. A case with an error
// before "headers complete" is refused, one with neither incomplete.
func wantLLHTTP(t *testing.T, name, in, log string) string {
	t.Helper()
	spans := map[string]string{}
	var headers, field, value string
	for line := range strings.Lines(log) {
		switch {
		case strings.Contains(line, "error code="):
			return "refused"
		case strings.Contains(line, "header_value complete"):
			headers += "\n" + field + ": " + strings.Trim(value, " \t")
			field, value = "", ""
		case strings.Contains(line, "headers complete"):
			return spans["method"] + " " + spans["url"] + " " + spans["version"] + headers
		}
		m := llhttpSpan.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		off, _ := strconv.Atoi(m[1])
		length, _ := strconv.Atoi(m[2])
		if off+length > len(in) {
			t.Fatalf("%s: span %q is beyond the input %q", name, strings.TrimSpace(line), in)
		}
		span := in[off : off+length]
		switch m[3] {
		case "header_field":
			field += span
		case "header_value":
			value += span
		default:
			spans[m[3]] += span
		}
	}
	return "incomplete"
}
