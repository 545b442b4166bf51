package ops

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"millrace/internal/ports"
)

// probeTimeout is how long an event loop may take to turn, and asking how long
// loops may take to answer.
const probeTimeout = time.Second

// health answers GET /healthz: whether every event loop turns. A node for which
// the answer is no has to be restarted.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	defer ports.Busy(r)()
	verdict(w, s.probe(r.Context()))
}

// readiness answers GET /readyz: whether new clients should come here. A node for
// which the answer is no needs time. With ?engine=1 the engine has to be there, too.
func (s *Server) readiness(w http.ResponseWriter, r *http.Request) {
	defer ports.Busy(r)()
	err := s.cfg.Ready()
	if err == nil {
		err = s.probe(r.Context())
	}
	if err == nil && r.URL.Query().Get("engine") == "1" {
		err = s.cfg.Broker.Health()
	}
	verdict(w, err)
}

// probe reports the event loops that do not turn.
func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := s.cfg.Streams.Probe(ctx); err != nil {
		return fmt.Errorf("%w within %v", err, probeTimeout)
	}
	return nil
}

func verdict(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	fmt.Fprintln(w, "ok")
}
