package server

import (
	"bytes"
	"strconv"

	"millrace/httpparse"
)

// acceptsEventStream tells whether the Accept headers of a request allow
// text/event-stream: there are none, or the most specific range that matches it
// has a weight above 0 (RFC 9110, 12.5.1).
func acceptsEventStream(r *httpparse.Request) bool {
	asked, best, weight := false, 0, 0.0
	for value := range r.Values("Accept") {
		asked = true
		for item := range bytes.SplitSeq(value, []byte{','}) {
			media, parameters, _ := bytes.Cut(item, []byte{';'})
			specific := 0
			switch media = bytes.TrimSpace(media); {
			case bytes.EqualFold(media, []byte("text/event-stream")):
				specific = 3
			case bytes.EqualFold(media, []byte("text/*")):
				specific = 2
			case string(media) == "*/*":
				specific = 1
			}
			if specific > best {
				best, weight = specific, quality(parameters)
			}
		}
	}
	return !asked || best > 0 && weight > 0
}

// quality returns the weight among the parameters of a media range, 1 when
// there is none that can be read.
func quality(parameters []byte) float64 {
	for p := range bytes.SplitSeq(parameters, []byte{';'}) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(p), []byte{'='})
		if bytes.EqualFold(name, []byte("q")) {
			if q, err := strconv.ParseFloat(string(value), 64); err == nil {
				return q
			}
		}
	}
	return 1
}
