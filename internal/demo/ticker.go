package demo

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// tickPeriod is the time between two prices.
const tickPeriod = 250 * time.Millisecond

// tick is a price, in an event.
type tick struct {
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
}

// trade publishes invented prices until ctx is done: one share at a time takes a
// random step.
func (s *Server) trade(ctx context.Context) {
	shares := []tick{{"MILL", 48.20}, {"RACE", 117.45}, {"WEIR", 23.80}, {"FLUX", 311.00}, {"SPRAY", 9.62}}
	ticker := time.NewTicker(tickPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		share := &shares[rand.N(len(shares))]
		share.Price = math.Round(100*max(1, share.Price*(1+0.006*rand.NormFloat64()))) / 100
		if _, err := s.publish(tickerChannel, "tick", share); err != nil {
			s.cfg.Logger.Warn("the demo cannot publish", "error", err)
		}
	}
}
