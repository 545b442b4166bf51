// Package storm simulates what happens when nodes of a service go away and their
// clients come back to the others: how many connect in a second, how many are
// let in, told to come later, or find an accept queue full, and how long a client
// is without a stream. It opens no socket and reads no clock: the same plan has
// the same course.
//
// Nodes decide as millrace does (internal/limits/bucket.go, server/answer.go, server/drain.go),
// and a test of package server holds both side by side. Clients are browsers'
// EventSources, which wait as long as they were told last. Everything happens in
// steps of 10 ms.
package storm

import (
	"errors"
	"fmt"
	"time"
)

// Plan is a service, and how it loses some of its nodes. Times are from the
// moment at which it begins to.
type Plan struct {
	Nodes   int `json:"nodes"`   // of the service
	Streams int `json:"streams"` // open at each of them
	Lost    int `json:"lost"`    // nodes that go away

	Drain      time.Duration `json:"drain_ns"`       // over which their streams are closed; 0 for all at once, as when they are killed
	Retry      time.Duration `json:"retry_ns"`       // after which a client comes back that is told nothing
	Jitter     time.Duration `json:"jitter_ns"`      // by which a client comes later than told, at most
	Notice     time.Duration `json:"notice_ns"`      // until the balancer no longer sends clients to a lost node
	AcceptRate Rate          `json:"accept_rate"`    // of each node
	Capacity   int           `json:"capacity"`       // connections that a node answers in a second; 0 for any number
	Backlog    int           `json:"accept_backlog"` // connections that may wait for it to; net.core.somaxconn
	Seed       uint64        `json:"seed"`
}

// Rate is a number of connections in a period; the zero Rate is no limit.
type Rate struct {
	Events int           `json:"events"`
	Period time.Duration `json:"period_ns"`
}

// ErrPlan is wrapped by the error of an invalid plan.
var ErrPlan = errors.New("cannot simulate")

// MaxClients is how many clients may have to come back.
const MaxClients = 20_000_000

// Check reports the first invalid field.
func (p *Plan) Check() error {
	for _, bound := range []struct {
		name             string
		value, low, high int
	}{
		{"nodes", p.Nodes, 2, 100_000},
		{"streams", p.Streams, 1, MaxClients},
		{"lost nodes", p.Lost, 1, p.Nodes - 1},
		{"clients that come back", p.clients(), 1, MaxClients},
		{"capacity", p.Capacity, 0, 100_000_000},
		{"accept backlog", p.Backlog, 1, 1 << 30},
		{"accept rate", p.AcceptRate.Events, 0, 1_000_000},
	} {
		if bound.value < bound.low || bound.value > bound.high {
			return fmt.Errorf("%w: %s: %d, want %d to %d", ErrPlan, bound.name, bound.value, bound.low, bound.high)
		}
	}
	for _, bound := range []struct {
		name  string
		value time.Duration
	}{{"drain", p.Drain}, {"retry", p.Retry}, {"jitter", p.Jitter}, {"notice", p.Notice}} {
		if bound.value < 0 || bound.value > time.Hour {
			return fmt.Errorf("%w: %s: %v, want 0 to 1h", ErrPlan, bound.name, bound.value)
		}
	}
	if p.Retry+p.Jitter == 0 && p.Notice > 0 {
		return fmt.Errorf("%w: a balancer that takes %v to notice, and clients that come back at once, for ever: want a retry or a jitter", ErrPlan, p.Notice)
	}
	if r := p.AcceptRate; r.Events > 0 && (r.Period < time.Second || r.Period > 24*time.Hour) {
		return fmt.Errorf("%w: accept rate in %v, want 1s to 24h", ErrPlan, r.Period)
	}
	return nil
}

// clients is how many have to come back.
func (p *Plan) clients() int { return p.Lost * p.Streams }

// leaves is when the i-th client of a lost node loses its stream.
func (p *Plan) leaves(i int) time.Duration {
	return time.Duration(float64(p.Drain) * float64(i) / float64(p.Streams))
}
