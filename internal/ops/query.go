package ops

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parameters returns the query of r, in which each of known may stand once, and
// nothing else.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("unknown parameter %.64q, want only %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return nil, fmt.Errorf("the parameter %s stands %d times, want it once", name, len(values))
		}
	}
	return q, nil
}

// number returns a parameter that is a number of 0 to most, or fallback where it
// is missing.
func number(q url.Values, name string, fallback, most int) (int, error) {
	if !q.Has(name) {
		return fallback, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s=%.64q, want a number, 0 to %d", name, q.Get(name), most)
	}
	return n, nil
}
