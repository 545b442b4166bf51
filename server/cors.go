package server

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"millrace/httpparse"
)

// cors decides which pages elsewhere may read answers (the Fetch standard, 3.2).
type cors struct {
	any       bool     // pages of all origins, without credentials
	origins   []string // with credentials
	wildcards []wildcard
}

// wildcard is the origins of all subdomains of a host, such as
// https://*.example.org: what stands before and after the asterisk.
type wildcard struct{ before, after string }

// newCORS takes origins that checkOrigin has passed.
func newCORS(origins []string) cors {
	var c cors
	for _, origin := range origins {
		before, after, isWildcard := strings.Cut(origin, "*")
		switch {
		case origin == "*":
			c.any = true
		case isWildcard:
			c.wildcards = append(c.wildcards, wildcard{before, after})
		default:
			c.origins = append(c.origins, origin)
		}
	}
	return c
}

// allows tells whether pages of origin may read answers with credentials.
func (c *cors) allows(origin []byte) bool {
	return slices.Contains(c.origins, string(origin)) ||
		slices.ContainsFunc(c.wildcards, func(w wildcard) bool { return w.match(origin) })
}

// match tells whether origin is that of a subdomain: one label or more.
func (w wildcard) match(origin []byte) bool {
	if len(origin) <= len(w.before)+len(w.after) ||
		!bytes.HasPrefix(origin, []byte(w.before)) || !bytes.HasSuffix(origin, []byte(w.after)) {
		return false
	}
	return isDNSName(string(origin[len(w.before) : len(origin)-len(w.after)]))
}

// append appends the headers that let pages of origin read the answer, and tells
// whether they may. Credentials need the origin itself, so "*" does not grant
// them.
func (c *cors) append(dst, origin []byte) (_ []byte, allowed bool) {
	if len(c.origins)+len(c.wildcards) > 0 {
		dst = append(dst, "Vary: Origin\r\n"...)
	}
	switch {
	case c.allows(origin):
		dst = append(dst, "Access-Control-Allow-Origin: "...)
		dst = append(dst, origin...)
		return append(dst, "\r\nAccess-Control-Allow-Credentials: true\r\n"...), true
	case c.any:
		return append(dst, "Access-Control-Allow-Origin: *\r\n"...), true
	}
	return dst, false
}

const (
	// usualHeaders are those that a page may send if its preflight names none.
	usualHeaders = "Last-Event-ID, Cache-Control, Authorization"
	// maxRequestHeaders bounds the list of a preflight that is echoed, in bytes.
	maxRequestHeaders = 4096
)

// appendPreflight appends the headers of the answer to a preflight whose origin is allowed.
// Any header may be sent, since all but a few are ignored: the list that the
// browser asks for is echoed if it is one.
func (c *cors) appendPreflight(dst []byte, r *httpparse.Request, origin []byte) []byte {
	dst = append(dst, "Allow: "+allowedMethods+"\r\n"...)
	if !c.any && !c.allows(origin) {
		return dst
	}
	dst = append(dst, "Access-Control-Allow-Methods: "+allowedMethods+"\r\nAccess-Control-Allow-Headers: "...)
	if asked, ok := r.Get("Access-Control-Request-Headers"); ok && isHeaderList(asked) {
		dst = append(dst, asked...)
	} else {
		dst = append(dst, usualHeaders...)
	}
	return append(dst, "\r\nAccess-Control-Max-Age: 86400\r\n"...)
}

// isHeaderList tells whether list is header names with commas between, and not too
// many.
func isHeaderList(list []byte) bool {
	if len(list) == 0 || len(list) > maxRequestHeaders {
		return false
	}
	for _, b := range list {
		if !('a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || bytes.IndexByte([]byte("-_., \t"), b) >= 0) {
			return false
		}
	}
	return true
}

// checkOrigin reports why origin is neither "*" nor scheme://host[:port], the
// form in which browsers send it (RFC 6454, 6.2), perhaps with "*." before the
// host for all of its subdomains. Another form would never fit.
func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	refuse := func(why string) error {
		return fmt.Errorf("%w: allowed origin %q: %s; want *, scheme://host[:port] in lower case, or scheme://*.host[:port] for all subdomains",
			ErrConfig, origin, why)
	}
	scheme, rest, ok := strings.Cut(origin, "://")
	u, err := url.Parse(scheme + "://" + strings.TrimPrefix(rest, "*."))
	switch {
	case !ok || err != nil || u.Scheme == "" || u.Host == "":
		return refuse("it is no origin")
	case origin != strings.ToLower(origin):
		return refuse("browsers send it in lower case")
	case strings.Contains(u.Host, "*"):
		return refuse("an asterisk may only be its host's first label")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(origin, "#"):
		return refuse("browsers send nothing after the host and port")
	}
	host, port := u.Hostname(), u.Port()
	addr, err := netip.ParseAddr(host)
	isAddress := err == nil
	switch {
	case isAddress && (addr.Zone() != "" || addr.String() != host):
		return refuse("browsers write the address as " + addr.WithZone("").String())
	case isAddress && strings.HasPrefix(rest, "*."):
		return refuse("an address has no subdomains")
	case !isAddress && !isDNSName(host):
		return refuse("browsers send a host in ASCII letters, digits, hyphens and dots, other alphabets in punycode (xn--...)")
	case strings.HasSuffix(u.Host, ":"):
		return refuse("the port is missing after the colon")
	case port != "" && (len(port) > 5 || port[0] == '0' || len(port) == 5 && port > "65535"):
		return refuse("the port is none of 1 to 65535")
	case u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443":
		return refuse("browsers leave out the port that a scheme has by default")
	}
	return nil
}

// isDNSName tells whether name is labels of lower-case letters, digits, hyphens
// and underscores with dots between: a host as browsers write it.
func isDNSName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, b := range []byte(label) {
			if !('a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '_') {
				return false
			}
		}
	}
	return true
}
