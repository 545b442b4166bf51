package ops

import (
	"context"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/procfs"

	"millrace/channels"
	"millrace/server"
)

const (
	// samplePeriod is the time between two samples, and sampleCount how many are
	// kept: 15 minutes.
	samplePeriod = time.Second
	sampleCount  = 900
)

// sample are the figures of a node at a time, rates over the period before it.
// The page knows its fields by these names.
type sample struct {
	Time       int64   `json:"time"` // Unix, in ms
	Streams    int64   `json:"streams"`
	Behind     int64   `json:"behind"`
	Published  float64 `json:"published"` // a second, as are those that follow
	Deliveries float64 `json:"deliveries"`
	Writes     float64 `json:"writes"`
	Bytes      float64 `json:"bytes"`
	Opened     float64 `json:"opened"`
	Closed     float64 `json:"closed"`
	Pings      float64 `json:"pings"`
	P50        float64 `json:"p50"` // of the fan-out, in ms; 0 when there was none
	P99        float64 `json:"p99"`
	Busy       float64 `json:"busy"` // the part of its time that the busiest loop worked
	Waiting    int     `json:"waiting"`
	Channels   int     `json:"channels"`
	Resident   int     `json:"resident"` // bytes, as are those that follow
	Heap       uint64  `json:"heap"`
	History    int     `json:"history"`
	TCP        int     `json:"tcp"`
	Limits     limits  `json:"limits"`
}

// limits are what some figures of a sample cannot exceed; 0 where that is not
// known.
type limits struct {
	Streams  int `json:"streams"`
	Resident int `json:"resident"` // the memory of the process and that which the host has left
	History  int `json:"history"`
	TCP      int `json:"tcp"`
}

// reading are the counters that a sample is made of.
type reading struct {
	at     time.Time
	server server.Stats
	loops  []server.LoopStats
	broker channels.Figures
}

func (cfg *Config) read(now time.Time) reading {
	return reading{now, cfg.Streams.Stats(), cfg.Streams.LoopStats(), cfg.Broker.Ports().Figures()}
}

// sampler takes a sample a second and keeps the newest. Its methods are safe for
// concurrent use.
type sampler struct {
	cfg *Config

	mu      sync.Mutex
	samples []sample
	next    chan struct{} // closed when there is one more
}

func newSampler(cfg *Config) *sampler { return &sampler{cfg: cfg, next: make(chan struct{})} }

// run takes samples until ctx is done.
func (s *sampler) run(ctx context.Context) {
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	before := s.cfg.read(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			r := s.cfg.read(now)
			s.add(s.cfg.sample(&before, &r))
			before = r
		}
	}
}

func (s *sampler) add(one sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) == sampleCount {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
	s.samples = append(s.samples, one)
	close(s.next)
	s.next = make(chan struct{})
}

// since returns the samples after a time, and a channel that is closed when there
// are more.
func (s *sampler) since(at int64) ([]sample, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.samples)
	for i > 0 && s.samples[i-1].Time > at {
		i--
	}
	return slices.Clone(s.samples[i:]), s.next
}

// sample has the events between two readings, and the state at the second.
func (cfg *Config) sample(before, now *reading) sample {
	seconds := max(now.at.Sub(before.at).Seconds(), 1e-3)
	rate := func(now, before uint64) float64 { return float64(now-before) / seconds }
	a, b := &before.server, &now.server
	one := sample{
		Time:       now.at.UnixMilli(),
		Streams:    b.Streams,
		Behind:     b.Behind,
		Published:  rate(now.broker.Messages, before.broker.Messages),
		Deliveries: rate(b.Deliveries, a.Deliveries),
		Writes:     rate(b.Writes, a.Writes),
		Bytes:      rate(b.Bytes, a.Bytes),
		Opened:     rate(b.Opened, a.Opened),
		Pings:      rate(b.Pings, a.Pings),
		Channels:   now.broker.Channels,
		History:    now.broker.Kept,
		Limits:     limits{Streams: min(cfg.Streams.MaxConnections(), cfg.Streams.Room()), History: now.broker.MaxKept},
	}
	for reason, n := range b.Closed {
		one.Closed += rate(n, a.Closed[reason])
	}
	fanout := b.Fanout.Since(&a.Fanout)
	one.P50, one.P99 = ms(fanout.Quantile(0.5)), ms(fanout.Quantile(0.99))
	for i, l := range now.loops {
		one.Waiting += l.Inbox
		one.Busy = max(one.Busy, (l.Busy-before.loops[i].Busy).Seconds()/seconds)
	}
	one.readMemory()
	return one
}

// ms is d in ms, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }

// readMemory sets the figures of memory, of the runtime and, on Linux, of the kernel.
func (one *sample) readMemory() {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	one.Heap = heap[0].Value.Uint64()
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return
	}
	if pages, most, err := tcpMemory(proc); err == nil {
		one.TCP, one.Limits.TCP = pages*pageSize, most*pageSize
	}
	self, err := proc.Self()
	if err != nil {
		return
	}
	if stat, err := self.Stat(); err == nil {
		one.Resident = stat.ResidentMemory()
	}
	if host, err := proc.Meminfo(); err == nil && host.MemAvailableBytes != nil {
		one.Limits.Resident = one.Resident + int(*host.MemAvailableBytes)
	}
}
