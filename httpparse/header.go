package httpparse

import (
	"bytes"
	"math"
)

// Header is one header line.
type Header struct {
	Name  []byte // as sent: compare it with Is
	Value []byte // without the whitespace around it; may be empty
}

// Is reports whether the header has this name, in any case.
func (h Header) Is(name string) bool { return equalFold(h.Name, name) }

// Salvage returns the value of the first header of this name among the good header
// lines at the start of a head that Parse has refused, and whether there is one: an
// answer to such a head may depend on it. Bytes beyond the limit have no influence.
func Salvage(head []byte, name string, lim Limits) (value []byte, ok bool) {
	head = bytes.TrimPrefix(head[:min(len(head), lim.orDefaults().MaxBytes)], lineEnd)
	_, rest, more := bytes.Cut(head, lineEnd)
	for more {
		var line []byte
		line, rest, more = bytes.Cut(rest, lineEnd)
		n := span(line, isToken)
		if !more || n == 0 || n == len(line) || line[n] != ':' {
			break
		}
		if value := trimOWS(line[n+1:]); !validValue(value) {
			break
		} else if equalFold(line[:n], name) {
			return value, true
		}
	}
	return nil, false
}

// parseHeaderLine judges a header line without its CRLF (RFC 9112 section 5)
// and adds it to the headers. One beyond the room is judged and counted, so that
// the verdict on a head with too many is left to checkHead.
func (r *Request) parseHeaderLine(line []byte) error {
	n := span(line, isToken)
	if n == len(line) || line[n] != ':' || n == 0 {
		return badName(line, n)
	}
	value := trimOWS(line[n+1:])
	if !validValue(value) {
		return ErrHeaderValue
	}
	r.keep(line[:n], value)
	return nil
}

// keep adds a header that has been judged, if there is room, and counts it.
func (r *Request) keep(name, value []byte) {
	if r.count < MaxHeaders {
		h := &r.headers[r.count]
		h.Name, h.Value = name, value
	}
	r.count++
}

// badName says why the token of length n at the start of line is not the name
// of a header.
func badName(line []byte, n int) error {
	switch {
	case n == len(line):
		return ErrNoColon
	case !isOWS(line[n]):
		return ErrHeaderName
	case n == 0:
		return ErrFold
	default:
		return ErrSpaceBeforeColon
	}
}

func trimOWS(b []byte) []byte {
	for len(b) > 0 && isOWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isOWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// checkHead judges the head as a whole: the number of headers, Host, which may be needed, and
// body framing.
func (r *Request) checkHead(lim Limits, needsHost bool) error {
	if r.count > lim.MaxHeaders {
		return ErrTooManyHeaders
	}
	var host, length, coding []byte
	hosts, lengths, codings := 0, 0, 0
	for i := range r.Headers() {
		h := &r.headers[i]
		switch len(h.Name) {
		case len("Host"):
			if h.Is("Host") {
				host = h.Value
				hosts++
			}
		case len("Content-Length"):
			if h.Is("Content-Length") {
				length = h.Value
				lengths++
			}
		case len("Transfer-Encoding"):
			if h.Is("Transfer-Encoding") {
				coding = h.Value
				codings++
			}
		}
	}
	if err := r.checkHost(host, hosts, needsHost); err != nil {
		return err
	}
	return r.checkFraming(length, lengths, coding, codings)
}

// checkHost applies RFC 9112 section 3.2. An empty Host is valid: it is what a
// client sends whose URI has no authority. The host of an absolute-form target
// takes precedence over the header (section 3.2.2).
func (r *Request) checkHost(host []byte, hosts int, needed bool) error {
	switch {
	case hosts > 1:
		return ErrManyHosts
	case hosts == 0 && needed:
		return ErrNoHost
	case len(host) > 0 && !validHost(host, portOptional):
		return ErrHost
	}
	if r.Host == nil {
		r.Host = host
	}
	return nil
}

// checkFraming applies RFC 9112 section 6. Equal lengths sent twice may be
// merged or refused (section 6.3, rule 5); no client that is well sends them, so
// they are refused.
func (r *Request) checkFraming(length []byte, lengths int, coding []byte, codings int) error {
	r.ContentLength, r.Chunked = 0, false
	switch {
	case lengths > 0 && codings > 0:
		return ErrLengthAndCoding
	case lengths > 1:
		return ErrManyLengths
	case codings > 1:
		return ErrManyCodings
	case codings == 1 && r.Minor == 0:
		return ErrCodingOnHTTP10
	case codings == 1:
		if !equalFold(coding, "chunked") {
			return ErrUnknownCoding
		}
		r.Chunked = true
		return r.checkTrailer()
	case lengths == 1:
		n, ok := parseLength(length)
		if !ok {
			return ErrContentLength
		}
		r.ContentLength = n
	}
	return nil
}

func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		digit := int64(c) - '0'
		if !isDigit(c) || n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

// checkTrailer refuses the promise of a trailer that would change the framing
// (RFC 9110 section 6.5.1).
func (r *Request) checkTrailer() error {
	for rest := range r.Values("Trailer") {
		for more := true; more; {
			var name []byte
			name, rest, more = bytes.Cut(rest, []byte(","))
			name = trimOWS(name)
			if equalFold(name, "Content-Length") || equalFold(name, "Transfer-Encoding") || equalFold(name, "Trailer") {
				return ErrForbiddenTrailer
			}
		}
	}
	return nil
}
