package ops

import (
	"net/http"

	"millrace/internal/ports"
)

// maxProfiles bounds the profiles and traces that are made at a time.
const maxProfiles = 8

// Stats returns the figures as they are now.
func (s *Server) Stats() ports.OpsStats {
	return ports.OpsStats{
		PlaceStats:  s.places.Stats(),
		WrongTokens: s.guard.guesses.Count(),
		Refused:     s.guard.refused.Load(),
		Streams:     s.streams.Open(),
		TLS:         s.cfg.TLS.Stats(),
	}
}

// The metrics of this port itself.
var (
	opsConnections    = desc("ops_connections", "Open connections of the ops port.")
	maxOpsConnections = desc("ops_connections_max", "The most that ops_connections may be, places for questions about health included.")
	opsDisplaced      = desc("ops_connections_displaced_total", "Idle connections of the ops port ended for newer ones.")
	opsRejected       = desc("ops_requests_rejected_total", "Requests told to come back because the ops port was full.")
	opsRefused        = desc("ops_requests_refused_total", "Requests that the ops port has refused: without the token, of another site, under another host name.")
	wrongTokens       = desc("ops_wrong_tokens_total", "Wrong tokens given at the ops port.")
	opsStreams        = desc("ops_streams", "Open event streams of the ops port.")
	opsHandshakes     = desc("ops_tls_handshakes_total", "TLS handshakes of the ops port that have succeeded.")
	opsTLSFailures    = desc("ops_tls_handshake_failures_total", "TLS handshakes of the ops port that have failed, by reason.", "reason")
)

func collectOps(n ports.OpsStats, gauge, counter collect) {
	if n.TLS != nil {
		collectHandshakes(n.TLS, opsHandshakes, opsTLSFailures, counter)
	}
	gauge(opsConnections, float64(n.Open))
	gauge(maxOpsConnections, float64(n.Most))
	counter(opsDisplaced, float64(n.Displaced))
	counter(opsRejected, float64(n.Rejected))
	counter(opsRefused, float64(n.Refused))
	counter(wrongTokens, float64(n.WrongTokens))
	gauge(opsStreams, float64(n.Streams))
}

// room answers requests for which there is a place. Of those that are kept, only
// questions about health have any.
func (s *Server) room(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ports.Kept(r) {
			w.Header().Set("Connection", "close")
			if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
				s.places.Reject(r)
				w.Header().Set("Retry-After", "1")
				fail(w, http.StatusServiceUnavailable, "%d connections are open on this port, which is the most", s.places.Most())
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// profile serves profiles and traces, a few at a time. They set deadlines of their own,
// by net/http/pprof, and may be silent until their end.
func (s *Server) profile(next http.HandlerFunc) http.HandlerFunc {
	return s.passing.until(func(w http.ResponseWriter, r *http.Request) {
		if !s.profiles.Begin() {
			w.Header().Set("Retry-After", "5")
			fail(w, http.StatusServiceUnavailable, "%d profiles are being made, which is the most", s.profiles.Most())
			return
		}
		defer s.profiles.End()
		ports.Patient(r)
		next(w, r)
	})
}
