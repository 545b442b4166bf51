package ops

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// probeTimeout is how long an event loop may take to turn, and asking how long
// loops may take to answer.
const probeTimeout = time.Second

// health answers GET /healthz: whether every event loop turns. A node for which
// the answer is no has to be restarted.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	err := s.cfg.Streams.Probe(ctx)
	if err != nil {
		err = fmt.Errorf("%w within %v", err, probeTimeout)
	}
	verdict(w, err)
}

// readiness answers GET /readyz: whether new clients should come here. A node for
// which the answer is no needs time.
func (s *Server) readiness(w http.ResponseWriter, r *http.Request) {
	verdict(w, s.cfg.Ready())
}

func verdict(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
