package httpparse

// A head may come in fields and not as text, as that of HTTP/2 does. Begin, Add and Complete
// make a Request of such fields, under the same rules and with the same refusals as Parse has.
// What is of that protocol alone, such as which fields it forbids, its reader judges before.

// Begin makes r a request without headers, for Add and Complete.
func (r *Request) Begin() {
	r.Method, r.Target, r.Host, r.Path, r.Query = nil, nil, nil, nil, nil
	r.Minor, r.ContentLength, r.Chunked, r.count = 0, 0, false, 0
}

// Add adds a header, or refuses it by ErrHeaderName or ErrHeaderValue. One beyond the room is
// counted only, as by Parse. The slices must stay as they are as long as r is used.
func (r *Request) Add(name, value []byte) error {
	switch {
	case len(name) == 0 || span(name, isToken) < len(name):
		return ErrHeaderName
	case !validValue(value):
		return ErrHeaderValue
	}
	r.keep(name, value)
	return nil
}

// Complete judges the request as a whole. The target is a path with its query or, for OPTIONS,
// "*"; for CONNECT there is none. authority is the host that the request is addressed to, nil if
// only a Host header says so. Where r is refused, its headers and its method can be read
// nevertheless.
func (r *Request) Complete(method, authority, target []byte, lim Limits) error {
	r.Method, r.Target = method, target
	if len(method) == 0 || span(method, isToken) < len(method) {
		return ErrMethod
	}
	if authority != nil && !validHost(authority, portOptional) {
		return ErrTargetHost
	}
	r.Host = authority
	switch {
	case string(method) == "CONNECT":
		r.Target = authority
	case span(target, isTarget) < len(target):
		return ErrTargetByte
	case len(target) > 0 && target[0] == '/':
		if err := r.splitPath(target); err != nil {
			return err
		}
	case string(target) == "*" && string(method) == "OPTIONS":
		r.Path = target
	default:
		return ErrTargetForm
	}
	return r.checkHead(lim.orDefaults(), authority == nil)
}
