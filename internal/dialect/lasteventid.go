package dialect

import "millrace/httpparse"

// lastEventID is what the client says it has seen last: the header of an
// EventSource that reconnects, or else the parameter of one that begins with
// what a page or another client has seen. Polyfills that cannot set a header
// append theirs, so the last one counts. Empty if it says nothing.
func lastEventID(r *httpparse.Request) []byte {
	if id, _ := r.Get("Last-Event-ID"); len(id) > 0 {
		return id
	}
	var last []byte
	for key, value := range httpparse.Params(r.Query) {
		if len(value) > 0 && IsLastEventID(key) {
			last = value
		}
	}
	id, err := httpparse.AppendQueryDecoded(nil, last)
	if err != nil {
		return last // which is no id of ours
	}
	return id
}

// IsLastEventID tells whether a parameter is the last event id, which clients
// spell in a dozen ways: lastEventId, last_event_id, Last-Event-ID. Safe for
// concurrent use.
func IsLastEventID(key []byte) bool {
	const name = "lasteventid"
	n := 0
	for _, b := range key {
		switch {
		case b == '-' || b == '_':
		case n < len(name) && b|0x20 == name[n]:
			n++
		default:
			return false
		}
	}
	return n == len(name)
}
