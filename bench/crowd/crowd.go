// Package crowd has clients with the habits that a server meets: streams on one channel and on
// two, over each protocol, readers that are slow, request heads that stop in the middle,
// newcomers all the time, publishers that keep their connections, subscribers of Redis.
//
// Each is a goroutine by itself, made of what the standard library has, so that it shares no code
// with a server that it checks. [Crowd.Start] has all of them begin; every byte of every event is
// checked as it comes, and what is wrong is a fault in [Figures].
//
// # Files
//
//   - crowd.go: the crowd as a whole; figures.go: what it has seen
//   - publisher.go: what is published, and what must be received; order.go: the check
//   - reader.go, open.go: event streams; slow.go: those that are behind
//   - subscriber.go: Redis; halves.go: request heads, and newcomers
package crowd

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Config says where the server is, and how large the crowd is. Zero counts mean none.
type Config struct {
	Public string // address of streams in the clear
	TLS    string // of those over TLS; "" for none
	Host   string // name that the certificate is for
	Cert   []byte // the only certificate that is believed, in DER
	Admin  string // address for the Redis protocol

	Publishers  int // one channel each
	Rate        int // events a second of each
	Plain       int // streams on one channel
	Two         int // streams on two
	Gzip        int // streams with the content coding gzip
	Secure      int // streams over TLS
	H2          int // streams of HTTP/2, all of one connection each four
	Slow        int // readers that are behind
	Subscribers int // of Redis, half of them by a pattern
	Newcomers   int // a second
}

// patience bounds each step of a client, but not a stream's waiting for events.
const patience = 30 * time.Second

// Crowd is the clients. Its methods are for one goroutine.
type Crowd struct {
	cfg        Config
	publishers []*publisher
	readers    []*reader
	slow       []*slow
	halves     []*half
	slowFrom   *publisher // what slow readers hear
	seen       seen

	running sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

// Start has everybody begin, and returns when all streams and subscriptions are there.
func Start(cfg Config) (*Crowd, error) {
	c := &Crowd{cfg: cfg}
	c.ctx, c.stop = context.WithCancel(context.Background())
	for i := range cfg.Publishers {
		c.publishers = append(c.publishers, newPublisher(fmt.Sprintf("/crowd/%d", i), 64))
	}
	c.slowFrom = newPublisher("/crowd/slow", slowSize)
	if err := c.start(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Crowd) start() error {
	for _, k := range []struct {
		kind              Kind
		clients, channels int
	}{
		{KindPlain, c.cfg.Plain, 1}, {KindTwo, c.cfg.Two, 2}, {KindGzip, c.cfg.Gzip, 1},
		{KindTLS, c.cfg.Secure, 1}, {KindH2, c.cfg.H2, 2},
	} {
		if k.clients == 0 || (k.kind == KindTLS || k.kind == KindH2) && c.cfg.TLS == "" {
			continue
		}
		opened := newOpener(&c.cfg, k.kind)
		for i := range k.clients {
			var hears []*publisher
			for j := range min(k.channels, len(c.publishers)) {
				hears = append(hears, c.publishers[(i+j)%len(c.publishers)])
			}
			if k.kind == KindH2 && i%4 == 0 {
				opened = newOpener(&c.cfg, k.kind) // a connection of its own
			}
			c.readers = append(c.readers, &reader{kind: k.kind, order: newOrder(hears...), open: opened, seen: &c.seen, ready: make(chan struct{})})
		}
	}
	for i := range c.cfg.Slow {
		c.slow = append(c.slow, &slow{order: newOrder(c.slowFrom), secure: c.cfg.TLS != "" && i%2 == 1, seen: &c.seen})
	}
	for _, r := range c.readers {
		c.seen.count(r.kind)
		c.running.Go(func() { r.run(c.ctx) })
	}
	for _, r := range c.readers {
		if err := waitFor(r.ready, "a stream is open"); err != nil {
			return fmt.Errorf("%w: %s", err, c.seen.firstFaults())
		}
	}
	for _, s := range c.slow {
		c.seen.count(s.kind())
		if err := s.begin(&c.cfg); err != nil {
			return fmt.Errorf("a slow reader: %w", err)
		}
		c.running.Go(func() { s.run(c.ctx) })
	}
	for i := range c.cfg.Subscribers {
		s := &subscriber{admin: c.cfg.Admin, pattern: i%2 == 1, order: newOrder(c.publishers...), seen: &c.seen, ready: make(chan struct{})}
		c.seen.count(KindSubscriber)
		c.running.Go(func() { s.run(c.ctx) })
		if err := waitFor(s.ready, "a subscriber is there"); err != nil {
			return fmt.Errorf("%w: %s", err, c.seen.firstFaults())
		}
		c.readers = append(c.readers, &reader{kind: KindSubscriber, order: s.order})
	}
	for _, p := range c.publishers {
		c.seen.count(KindPublisher)
		c.running.Go(func() { p.run(c.ctx, c.cfg.Admin, c.cfg.Rate, &c.seen) })
	}
	if c.cfg.Newcomers > 0 {
		c.running.Go(func() { newcomers(c.ctx, c.cfg.Public, c.cfg.Newcomers, &c.seen) })
	}
	return nil
}

func waitFor(ready <-chan struct{}, what string) error {
	select {
	case <-ready:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("waiting until %s: timed out after %v", what, patience)
	}
}

// Before has those begin that are to be in the middle of something: request heads of which the
// first half is sent, and readers that are behind.
func (c *Crowd) Before(halves int) error {
	for range halves {
		h, err := beginHalf(c.cfg.Public)
		if err != nil {
			return fmt.Errorf("half a request head: %w", err)
		}
		c.seen.count(KindHalf)
		c.halves = append(c.halves, h)
	}
	if len(c.slow) == 0 {
		return nil
	}
	return c.slowFrom.burst(c.cfg.Admin, slowBurst)
}

// After has the halves completed, each of which must become a stream.
func (c *Crowd) After() {
	var finishing sync.WaitGroup
	for _, h := range c.halves {
		finishing.Go(func() {
			if err := h.finish(); err != nil {
				c.seen.fault(KindHalf, err)
			}
		})
	}
	finishing.Wait()
	c.halves = nil
}

// Quiet has publishers pause, and returns when everybody has received what was published: a
// client that has not within its patience is a fault. Publishing goes on after it if again is
// true.
func (c *Crowd) Quiet(again bool) {
	for _, p := range c.publishers {
		p.pause()
	}
	deadline := time.Now().Add(patience)
	for _, r := range c.readers {
		if err := r.order.await(deadline); err != nil {
			c.seen.fault(r.kind, err)
		}
	}
	for _, s := range c.slow {
		s.hurry.Store(true)
	}
	for _, s := range c.slow {
		if err := s.order.await(deadline); err != nil {
			c.seen.fault(KindSlow, err)
		}
		s.hurry.Store(false)
	}
	if again {
		for _, p := range c.publishers {
			p.goOn()
		}
	}
}

// Close ends everybody.
func (c *Crowd) Close() {
	c.stop()
	for _, p := range c.publishers {
		p.goOn()
	}
	for _, h := range c.halves {
		h.conn.Close()
	}
	c.running.Wait()
}
