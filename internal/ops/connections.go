package ops

import (
	"context"
	"net/http"
	"time"

	"millrace/server"
)

// maxSlow is the most slow readers in an answer.
const maxSlow = 1000

// slowReader is a stream that is behind, in an answer.
type slowReader struct {
	Address  string    `json:"address"`
	Protocol string    `json:"protocol"`
	Channels []string  `json:"channels"`
	Loop     int       `json:"loop"`
	Missing  int       `json:"behind"`
	Lapped   bool      `json:"lapped"`
	Since    time.Time `json:"since"`
	Seconds  float64   `json:"seconds"`
}

// slowReaders asks the loops for the n worst.
func (s *Server) slowReaders(ctx context.Context, n int) ([]slowReader, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	found, err := s.cfg.Streams.SlowReaders(ctx, n)
	now := time.Now()
	readers := make([]slowReader, len(found))
	for i, r := range found {
		readers[i] = describeSlow(r, now)
	}
	return readers, err
}

func describeSlow(r server.SlowReader, now time.Time) slowReader {
	return slowReader{
		Address: r.Address, Protocol: r.Protocol, Channels: r.Channels, Loop: r.Loop, Missing: r.Missing, Lapped: r.Lapped,
		Since:   now.Add(-r.Behind).UTC().Truncate(time.Millisecond),
		Seconds: r.Behind.Round(time.Millisecond).Seconds(),
	}
}

// listConnections answers GET /connections?slow=N with the N streams that have
// been behind for longest: address, channels, messages behind, since when.
func (s *Server) listConnections(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "slow")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	n, err := number(q, "slow", 20, maxSlow)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	readers, err := s.slowReaders(r.Context(), n)
	stats := s.cfg.Streams.Stats()
	list := struct {
		Open        int64        `json:"open"`
		Streams     int64        `json:"streams"`
		Behind      int64        `json:"behind"`
		Connections []slowReader `json:"connections"`
		Error       string       `json:"error,omitempty"`
	}{stats.Connections, stats.Streams, stats.Behind, readers, ""}
	if err != nil {
		list.Error = err.Error()
	}
	reply(w, http.StatusOK, list)
}
