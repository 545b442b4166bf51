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

// PrefersGzip tells whether the client would rather have the content coding gzip than none,
// or as gladly (RFC 9110 section 12.5.3). It has to ask for it: a request without
// Accept-Encoding does not.
func (r *Request) PrefersGzip() bool {
	gzip, identity, others := -1.0, -1.0, -1.0 // weights; below 0 for what is not named
	for value := range r.Values("Accept-Encoding") {
		for item := range bytes.SplitSeq(value, []byte{','}) {
			coding, parameters, _ := bytes.Cut(item, []byte{';'})
			switch coding = trimOWS(coding); {
			case equalFold(coding, "gzip"), equalFold(coding, "x-gzip"):
				gzip = max(gzip, quality(parameters))
			case equalFold(coding, "identity"):
				identity = max(identity, quality(parameters))
			case string(coding) == "*":
				others = max(others, quality(parameters))
			}
		}
	}
	if gzip < 0 {
		gzip = others
	}
	return gzip > 0 && gzip >= identity
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
