package httpparse

import "iter"

// Request is a head that has been read: by [Parse], or from fields, by Begin, Add and Complete.
// Its slices alias what was given to these, except for Path where an absolute-form
// target has none: they must not be written to. The zero value is ready for Parse, and a Request can be used over and over. It
// is large (3 KB); keep one per event loop rather than one per connection.
type Request struct {
	Method []byte // case matters
	Target []byte // as sent

	// Host is the host and perhaps port of the target, or else the value of the
	// Host header, which may be empty or, in HTTP/1.0, missing (nil).
	Host []byte
	// Path is the raw path of the target, "/" if an absolute-form target has
	// none, "*" for OPTIONS *, nil for CONNECT. Its escapes are well-formed.
	Path []byte
	// Query is what follows the first "?" of the target, raw; nil if there is
	// none. Its escapes are not judged.
	Query []byte

	Minor         int   // of the version HTTP/1.Minor: 0 or 1; 0 of a request that came in fields
	ContentLength int64 // bytes of content announced; 0 also if nothing is
	Chunked       bool  // content follows in chunked coding

	headers [MaxHeaders]Header
	count   int // of header lines; above MaxHeaders only within Parse
}

// Headers returns all headers in the order they were sent.
func (r *Request) Headers() []Header { return r.headers[:min(r.count, MaxHeaders)] }

// Get returns the value of the first header of this name, in any case, and
// whether there is one.
func (r *Request) Get(name string) (value []byte, ok bool) {
	for i := range r.Headers() {
		if h := &r.headers[i]; h.Is(name) {
			return h.Value, true
		}
	}
	return nil, false
}

// Values iterates over the values of all headers of this name, in any case, in
// the order they were sent.
func (r *Request) Values(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, h := range r.Headers() {
			if h.Is(name) && !yield(h.Value) {
				return
			}
		}
	}
}

// CheckFetch is for a server that answers GET, HEAD and OPTIONS, takes no content
// and serves one request a connection. It returns nil, ErrMethodNotAllowed or
// ErrContent. Chunked content is let pass: clients and proxies that do not know
// whether there will be any announce it so and send an empty one. The caller
// discards what follows the head.
func (r *Request) CheckFetch() error {
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS":
	default:
		return ErrMethodNotAllowed
	}
	if r.ContentLength > 0 {
		return ErrContent
	}
	return nil
}
