package auth

import (
	"fmt"

	"millrace/httpparse"
)

// Quoted is a name of a client's as it may stand in an answer and a log.
func Quoted(name string) string { return fmt.Sprintf("%.64q", name) }

// Param returns a parameter of the query, decoded; the first that is not empty. It also
// tells whether there are others of that name with another value.
func Param(query, name string) (value string, differ bool) {
	if query == "" {
		return "", false
	}
	for key, raw := range httpparse.Params([]byte(query)) {
		if string(key) != name || len(raw) == 0 {
			continue
		}
		decoded, err := httpparse.AppendQueryDecoded(nil, raw)
		if err != nil {
			decoded = raw // which is nothing good
		}
		if value != "" && value != string(decoded) {
			return value, true
		}
		value = string(decoded)
	}
	return value, false
}

// CookiesCount tells whether the cookies of a request are its page's own: browsers send
// them for pages of other sites too, which must not listen with them. A client that does
// not say where it comes from is none of a browser's pages, or of an old one.
func CookiesCount(r *Request) bool {
	return r.FetchSite == "" || r.FetchSite == "same-origin" || r.FetchSite == "same-site" || r.OriginAllowed
}
