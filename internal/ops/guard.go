package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// guard says who may ask.
type guard struct {
	open    bool                              // there is no token
	digest  atomic.Pointer[[sha256.Size]byte] // of the token: comparing takes the same time whatever its length
	origins *http.CrossOriginProtection
}

func newGuard(token string) *guard {
	g := &guard{open: token == "", origins: http.NewCrossOriginProtection()}
	g.setToken(token)
	return g
}

// setToken replaces the token. Safe for concurrent use.
func (g *guard) setToken(token string) {
	digest := sha256.Sum256([]byte(token))
	g.digest.Store(&digest)
}

// token lets those requests pass that bear the token.
func (g *guard) token(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.open && !g.bears(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="millrace"`)
			fail(w, http.StatusUnauthorized, "want the header Authorization: Bearer TOKEN, with the token of --ops-token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *guard) bears(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(digest[:], g.digest.Load()[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// hosts refuses what pages of other sites send through a browser on this host.
// They can post a form to any address; and where there is no token, they could
// read answers too, by having their own name resolve to a loopback address.
func (g *guard) hosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.open && !isLoopback(r.Host) {
			fail(w, http.StatusMisdirectedRequest, "host %.255q, want localhost or a loopback address while there is no --ops-token", r.Host)
			return
		}
		if err := g.origins.Check(r); err != nil {
			fail(w, http.StatusForbidden, "%v: want no page of another origin to send this", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback tells whether host, with or without a port, is this host's name for
// itself.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
