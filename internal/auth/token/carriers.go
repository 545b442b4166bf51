package token

import "strings"

// bearer returns the token of an Authorization header. That of another scheme has none:
// a proxy may have put Basic there for itself.
func bearer(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(token, " ")
}

// cookie returns the cookie of that name. It also tells whether there is another one with
// another value, as subdomains can set for the whole site.
func cookie(header, name string) (value string, differ bool) {
	for part := range strings.SplitSeq(header, ";") {
		key, v, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		if !ok || key != name {
			continue
		}
		if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
			v = v[1 : len(v)-1]
		}
		if v == "" {
			continue
		}
		if value != "" && value != v {
			return value, true
		}
		value = v
	}
	return value, false
}
