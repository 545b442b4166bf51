package httpparse

import "errors"

// ErrNeedMore says that the head is good so far and not complete.
var ErrNeedMore = errors.New("httpparse: incomplete request head")

// Error is a refusal. The only values are the variables below: compare with ==,
// do not modify. After a refusal by Parse the connection must be closed, because
// where the next request would start is not known.
type Error struct {
	// Status is the HTTP status code to answer with.
	Status int
	text   string
}

// Error returns a short lower-case text without input of the peer, fit to be
// the body of the answer.
func (e *Error) Error() string { return e.text }

// Refusals of any line.
var (
	ErrBareLF = &Error{400, "line is not ended by CRLF"}
	ErrBareCR = &Error{400, "CR that is not followed by LF"}
)

// Refusals of the request line (RFC 9112 section 3).
var (
	ErrEmptyLine     = &Error{400, "empty line where the request line should be"}
	ErrRequestLine   = &Error{400, "request line is not method, target and version between single spaces"}
	ErrMethod        = &Error{400, "method is not a token"}
	ErrTargetByte    = &Error{400, "byte that cannot stand in a request target"}
	ErrTargetForm    = &Error{400, "request target is not of a form its method allows"}
	ErrTargetHost    = &Error{400, "invalid host or port in the request target"}
	ErrEscape        = &Error{400, "percent sign without two hexadecimal digits"}
	ErrVersionFormat = &Error{400, "malformed HTTP version"}
	ErrVersion       = &Error{505, "HTTP version is neither 1.1 nor 1.0"}
	ErrTargetTooLong = &Error{414, "request line too long"}
)

// Refusals of a header line (RFC 9112 section 5).
var (
	ErrFold             = &Error{400, "header line begins with whitespace"}
	ErrSpaceBeforeColon = &Error{400, "whitespace before the colon of a header"}
	ErrNoColon          = &Error{400, "header line without a colon"}
	ErrHeaderName       = &Error{400, "header name is not a token"}
	ErrHeaderValue      = &Error{400, "control character in a header value"}
)

// Refusals of the head as a whole (RFC 9112 sections 3.2 and 6).
var (
	ErrHeadTooLarge     = &Error{431, "request head too large"}
	ErrTooManyHeaders   = &Error{431, "too many headers"}
	ErrNoHost           = &Error{400, "missing Host header"}
	ErrManyHosts        = &Error{400, "more than one Host header"}
	ErrHost             = &Error{400, "invalid Host header"}
	ErrContentLength    = &Error{400, "Content-Length is not a decimal number below 2^63"}
	ErrManyLengths      = &Error{400, "more than one Content-Length header"}
	ErrLengthAndCoding  = &Error{400, "both Content-Length and Transfer-Encoding"}
	ErrCodingOnHTTP10   = &Error{400, "Transfer-Encoding in an HTTP/1.0 request"}
	ErrManyCodings      = &Error{400, "more than one Transfer-Encoding header"}
	ErrUnknownCoding    = &Error{501, "Transfer-Encoding is not chunked"}
	ErrForbiddenTrailer = &Error{400, "Trailer header names a header that frames the message"}
)

// Refusals of CheckFetch.
var (
	ErrMethodNotAllowed = &Error{405, "method is none of GET, HEAD and OPTIONS"}
	ErrContent          = &Error{413, "request has content"}
)
