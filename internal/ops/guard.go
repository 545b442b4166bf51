package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"millrace/internal/ports"
	"millrace/internal/throttle"
)

// guard decides which requests are answered.
type guard struct {
	open    bool                              // there is no token
	digest  atomic.Pointer[[sha256.Size]byte] // of the token: comparing takes the same time whatever its length
	origins *http.CrossOriginProtection
	log     *slog.Logger
	line    throttle.Line // of log
	guesses throttle.Guesses
	refused atomic.Int64
}

func newGuard(token string, log *slog.Logger) *guard {
	g := &guard{open: token == "", origins: http.NewCrossOriginProtection(), log: log}
	g.setToken(token)
	return g
}

// setToken replaces the token. Safe for concurrent use.
func (g *guard) setToken(token string) {
	digest := sha256.Sum256([]byte(token))
	g.digest.Store(&digest)
}

// token lets those requests pass that bear the token. The answer to a wrong one waits,
// and no refusal keeps its connection.
func (g *guard) token(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.open || g.bears(r) {
			defer ports.Busy(r)()
			next.ServeHTTP(w, r)
			return
		}
		if r.Header.Get("Authorization") != "" {
			g.line.Log(g.log, slog.LevelWarn, "ops port got a wrong token", "client", r.RemoteAddr)
			if !g.guesses.Wrong(r.Context().Done()) {
				panic(http.ErrAbortHandler) // which closes the connection
			}
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="millrace"`)
		g.refuse(w, http.StatusUnauthorized, "want the header Authorization: Bearer TOKEN, with the token of --ops-token")
	})
}

// refuse answers a request that is not allowed.
func (g *guard) refuse(w http.ResponseWriter, status int, format string, args ...any) {
	g.refused.Add(1)
	w.Header().Set("Connection", "close")
	fail(w, status, format, args...)
}

func (g *guard) bears(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(digest[:], g.digest.Load()[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// hosts refuses requests that pages of other sites send through a browser on this host.
// They can post a form to any address, and have it loaded, as an image say: that begins
// profiles and streams, and how long it takes tells which channels there are. Where there
// is no token, they could read answers too, by having their own name resolve to a loopback
// address. Links lead to the dashboard only.
func (g *guard) hosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.open && !isLoopback(r.Host) {
			g.refuse(w, http.StatusMisdirectedRequest, "host %.255q, want localhost or a loopback address while there is no --ops-token", r.Host)
			return
		}
		as := *r
		if !isPage(r) {
			as.Method = http.MethodPost // which is checked
		}
		if err := g.origins.Check(&as); err != nil {
			g.refuse(w, http.StatusForbidden, "%v: want no page of another origin to send this", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isPage tells whether a request is for the dashboard itself, which tells nothing.
func isPage(r *http.Request) bool {
	return r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/dashboard/")
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
