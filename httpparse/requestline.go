package httpparse

import "bytes"

// root is the path of an absolute-form target that has none (RFC 9110 section
// 4.2.3).
var root = []byte("/")

// parseRequestLine judges a request line without its CRLF (RFC 9112 section 3).
// The version comes before the form of the target, so that the preface of
// HTTP/2, "PRI * HTTP/2.0", gets its 505.
func (r *Request) parseRequestLine(line []byte) error {
	if len(line) == 0 {
		return ErrEmptyLine
	}
	n := span(line, isToken)
	switch {
	case n == len(line):
		return ErrRequestLine
	case n == 0 || line[n] != ' ':
		return ErrMethod
	}
	r.Method, line = line[:n], line[n+1:]

	n = span(line, isTarget)
	switch {
	case n == len(line):
		return ErrRequestLine
	case line[n] != ' ':
		return ErrTargetByte
	case n == 0:
		return ErrRequestLine
	}
	r.Target, line = line[:n], line[n+1:]

	if err := r.parseVersion(line); err != nil {
		return err
	}
	return r.parseTarget()
}

func (r *Request) parseVersion(v []byte) error {
	switch string(v) {
	case "HTTP/1.1":
		r.Minor = 1
		return nil
	case "HTTP/1.0":
		r.Minor = 0
		return nil
	}
	if len(v) == len("HTTP/1.1") && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7]) {
		return ErrVersion
	}
	return ErrVersionFormat
}

// parseTarget splits the target by its form (RFC 9112 section 3.2) into Host,
// Path and Query. Host stays nil where the Host header is to fill it.
func (r *Request) parseTarget() error {
	target := r.Target
	r.Host, r.Path, r.Query = nil, nil, nil
	switch {
	case string(r.Method) == "CONNECT": // authority-form
		if !validHost(target, portRequired) {
			return ErrTargetHost
		}
		r.Host = target
		return nil

	case target[0] == '/': // origin-form
		return r.splitPath(target)

	case len(target) == 1 && target[0] == '*': // asterisk-form
		if string(r.Method) != "OPTIONS" {
			return ErrTargetForm
		}
		r.Path = target
		return nil
	}

	// absolute-form
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return ErrTargetForm
	}
	n := bytes.IndexByte(rest, '/')
	if q := bytes.IndexByte(rest, '?'); q >= 0 && (n < 0 || q < n) {
		n = q
	}
	if n < 0 {
		n = len(rest)
	}
	r.Host = rest[:n]
	if !validHost(r.Host, portOptional) {
		return ErrTargetHost
	}
	return r.splitPath(rest[n:])
}

// splitPath takes the path and query apart. Only the path's escapes are judged:
// a query may be used undecoded, and browsers send a lone percent sign in it.
func (r *Request) splitPath(b []byte) error {
	r.Path = b
	if q := bytes.IndexByte(b, '?'); q >= 0 {
		r.Path, r.Query = b[:q], b[q+1:]
	}
	if len(r.Path) == 0 {
		r.Path = root
	}
	if !validEscapes(r.Path) {
		return ErrEscape
	}
	return nil
}
