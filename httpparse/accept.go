package httpparse

import (
	"bytes"
	"strconv"
	"strings"
)

// Accepts tells whether the Accept headers allow a media type, such as
// "text/event-stream", given in lower case: there are none, or the most specific range
// that it is in has a weight above 0 (RFC 9110 section 12.5.1).
func (r *Request) Accepts(mediaType string) bool {
	asked, best, weight := false, 0, 0.0
	for value := range r.Values("Accept") {
		asked = true
		for item := range bytes.SplitSeq(value, []byte{','}) {
			mediaRange, parameters, _ := bytes.Cut(item, []byte{';'})
			if s := specificity(trimOWS(mediaRange), mediaType); s > best {
				best, weight = s, quality(parameters)
			}
		}
	}
	return !asked || best > 0 && weight > 0
}

// specificity tells how closely a media range names a media type: by its name, by its
// kind or not at all. It is 0 when the type is not in the range.
func specificity(mediaRange []byte, mediaType string) int {
	kind := mediaType[:strings.IndexByte(mediaType, '/')+1]
	switch rest, inKind := bytes.CutSuffix(mediaRange, []byte{'*'}); {
	case equalFold(mediaRange, mediaType):
		return 3
	case inKind && equalFold(rest, kind):
		return 2
	case string(mediaRange) == "*/*":
		return 1
	}
	return 0
}

// quality returns the weight among the parameters of a media range, 1 when
// there is none that can be read.
func quality(parameters []byte) float64 {
	for p := range bytes.SplitSeq(parameters, []byte{';'}) {
		name, value, _ := bytes.Cut(trimOWS(p), []byte{'='})
		if equalFold(name, "q") {
			if q, err := strconv.ParseFloat(string(value), 64); err == nil {
				return q
			}
		}
	}
	return 1
}
