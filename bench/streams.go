package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"sync"
	"time"

	"millrace/internal/handshake"
)

// Errors of Streams.
var (
	ErrConfig  = errors.New("bad configuration")
	ErrTimeout = errors.New("timed out")
	ErrClosed  = errors.New("streams are closed")
	ErrEnded   = errors.New("stream ended")
	ErrRefused = errors.New("not answered with an event stream")
)

// Config says which streams are opened. Zero fields mean the defaults.
type Config struct {
	Addr    string // of the server: a loopback address and port
	Host    string // that requests name; Addr by default
	Target  string // of the request: path and query; "/" by default
	Streams int    // how many
	Loops   int    // event loops that share them; 1 by default

	Protocol      Protocol
	PerConnection int // streams of one connection, with HTTP/2; 1 by default
	// OwnWindows tells that with Gzip each stream is compressed after all of its text.
	OwnWindows bool
	// Certificate is the only one that is believed, in DER; nil for what the system believes.
	Certificate []byte

	// OwnTables gives each loop a descriptor table of its own, so that all
	// together may have more streams than the descriptor limit. Only on Linux.
	OwnTables bool
	// Connecting is how many streams a loop opens at a time: enough to keep
	// a server busy, too few to overflow its accept queue. 128 by default.
	Connecting int
	// Opening is how many loops open their streams at a time; all by default.
	Opening int
	// Source is the first loopback address to connect from, counted from 0.
	// Each serves for sourcePorts streams. Processes that load one server
	// together should not have the same ones.
	Source int
	// FirstEvent is the number of the first event that is due on each stream.
	FirstEvent uint64
	// PayloadSize is the size that AppendPayload was given, in bytes.
	PayloadSize int
	// PingPeriod is the time between two pings of a stream, or 0: then they
	// are counted, but not timed.
	PingPeriod time.Duration
	// Gather is how long a loop that was woken lets arrivals gather before it
	// looks at them. Many loops on few processors would otherwise be woken for
	// every single one, at the server's expense. It adds to what is measured
	// of latencies.
	Gather time.Duration
	// Anywhere allows an address that is no loopback one.
	Anywhere bool
	// MayEnd has streams that the server ends counted apart, and the others go on.
	MayEnd bool
	// Timeout bounds the opening of all streams; a minute by default.
	Timeout time.Duration

	loopback bool // Addr is a loopback address
}

// sourcePorts is how many streams share a source address: well below half of
// the usual port range of 28,232, where the kernel's search for a free port
// becomes slow.
const sourcePorts = 9000

func (cfg *Config) check() error {
	addr, err := net.ResolveTCPAddr("tcp4", cfg.Addr)
	if err != nil {
		return fmt.Errorf("%w: server address %q, want host:port: %v", ErrConfig, cfg.Addr, err)
	}
	if !addr.IP.IsLoopback() && !cfg.Anywhere {
		return fmt.Errorf("%w: server address %q, want a loopback address: a load test is nothing to point at others", ErrConfig, cfg.Addr)
	}
	cfg.loopback = addr.IP.IsLoopback()
	cfg.Addr = addr.String()
	for _, f := range []struct {
		name       string
		value      *int
		usual, max int
	}{
		{"streams", &cfg.Streams, 1, 1 << 24},
		{"loops", &cfg.Loops, 1, 1024},
		{"streams opened at a time", &cfg.Connecting, 128, 4096},
		{"loops that open streams at a time", &cfg.Opening, 1024, 1024},
		{"payload size", &cfg.PayloadSize, 1, 1 << 20},
		{"streams of a connection", &cfg.PerConnection, 1, maxPerConnection},
	} {
		if *f.value == 0 {
			*f.value = f.usual
		}
		if *f.value < 1 || *f.value > f.max {
			return fmt.Errorf("%w: %s: %d, want 1 to %d", ErrConfig, f.name, *f.value, f.max)
		}
	}
	if cfg.Source < 0 || cfg.Source > 1<<16 {
		return fmt.Errorf("%w: source address %d, want 0 to %d", ErrConfig, cfg.Source, 1<<16)
	}
	if cfg.PerConnection > 1 && cfg.Protocol != H2 {
		return fmt.Errorf("%w: %d streams a connection, which takes HTTP/2", ErrConfig, cfg.PerConnection)
	}
	cfg.Host = cmp.Or(cfg.Host, cfg.Addr)
	cfg.Target = cmp.Or(cfg.Target, "/")
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	return nil
}

// Streams are open event streams whose every byte is checked as it comes. The
// methods are safe for concurrent use.
type Streams struct {
	cfg   Config
	loops []*client
	makes *handshake.Client // nil in the clear

	running sync.WaitGroup
	mu      sync.Mutex // guards the pollers against use after close
	closed  bool
}

// Open opens streams and returns when each of them has been answered. If one
// cannot be opened, or not in time, none is.
func Open(cfg Config) (*Streams, error) { return open(cfg, func(*Streams) {}) }

// open is Open, and shows the streams before they are open.
func open(cfg Config, show func(*Streams)) (*Streams, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Streams{cfg: cfg}
	if err := s.start(Now()); err != nil {
		s.Close()
		return nil, err
	}
	show(s)
	if err := s.await(cfg.Timeout, cfg.Opening, (*client).open); err != nil {
		err = fmt.Errorf("opening %d streams on %s%s: %w: %s", cfg.Streams, cfg.Addr, cfg.Target, err, s.Report())
		s.Close()
		return nil, err
	}
	return s, nil
}

// start sets the loops running.
func (s *Streams) start(since time.Duration) error {
	// Every poller comes before the first table is copied: a number by which a
	// loop is woken must mean the same in all tables.
	if s.cfg.Protocol.isSecure() {
		s.makes = handshake.NewClient(clientTLS(&s.cfg), runtime.GOMAXPROCS(0))
	}
	for i := range s.cfg.Loops {
		c, err := newClient(&s.cfg, i, since, s.makes)
		if err != nil {
			return err
		}
		s.loops = append(s.loops, c)
	}
	for _, c := range s.loops {
		if err := spawn(&s.running, s.cfg.OwnTables, c.run); err != nil {
			return err
		}
	}
	return nil
}

// Await returns when every stream has received the event of that number and
// those before it. Errors wrap ErrTimeout, or the error that ended a stream.
func (s *Streams) Await(event uint64, timeout time.Duration) error {
	err := s.await(timeout, len(s.loops), func(c *client, done chan<- error) { c.awaitEvent(event, done) })
	if err != nil {
		return fmt.Errorf("awaiting event %d: %w: %s", event, err, s.Report())
	}
	return nil
}

// Expect has the latencies of events that arrive from now on counted from published, a
// moment of Now. Earlier counts are forgotten.
func (s *Streams) Expect(published time.Duration) error {
	return s.await(time.Minute, len(s.loops), func(c *client, done chan<- error) {
		c.expect(published)
		done <- nil
	})
}

// TimePings has the pings that come from now on held against their phase.
func (s *Streams) TimePings() error {
	return s.await(time.Minute, len(s.loops), func(c *client, done chan<- error) {
		c.timePings()
		done <- nil
	})
}

// Churn replaces streams, the oldest first, for so long, and returns how many
// were replaced. Nothing may be published meanwhile.
func (s *Streams) Churn(d, timeout time.Duration) (int, error) {
	before := s.Report().Replaced
	until := Now() + d
	if err := s.await(d+timeout, len(s.loops), func(c *client, done chan<- error) { c.churn(until, done) }); err != nil {
		return 0, fmt.Errorf("replacing streams: %w: %s", err, s.Report())
	}
	return s.Report().Replaced - before, nil
}

// Opened returns how many streams are open now, at next to no cost.
func (s *Streams) Opened() (n int) {
	for _, c := range s.loops {
		n += int(c.opened.Load())
	}
	return n
}

// await has each loop begin something, so many of them at a time, and waits
// until it is done everywhere.
func (s *Streams) await(timeout time.Duration, atOnce int, begin func(c *client, done chan<- error)) error {
	done := make(chan error, len(s.loops))
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	begun := 0
	for ended := 0; ended < len(s.loops); ended++ {
		for ; begun < len(s.loops) && begun < ended+atOnce; begun++ {
			c := s.loops[begun]
			if err := s.do(c, func() { begin(c, done) }); err != nil {
				return err
			}
		}
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-deadline.C:
			return fmt.Errorf("%w after %v", ErrTimeout, timeout)
		}
	}
	return nil
}

// Report returns the report of the streams so far. After Close it is empty.
func (s *Streams) Report() Report {
	reports := make(chan Report, len(s.loops))
	sum := Report{Began: math.MaxInt64, Connects: NewHistogram(), Latency: NewHistogram(), PingsOff: NewHistogram()}
	for _, c := range s.loops {
		if s.do(c, func() { reports <- c.snapshot() }) != nil {
			return sum
		}
	}
	for range s.loops {
		sum.add(<-reports)
	}
	return sum
}

// do has task run by a loop.
func (s *Streams) do(c *client, task func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return c.poller.Do(task)
}

// Close closes the streams. Waiting calls return ErrClosed.
func (s *Streams) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	for _, c := range s.loops {
		c.poller.Stop()
	}
	s.running.Wait()
	if s.makes != nil {
		s.makes.Wait() // a handshake that ends wakes its loop
	}
	for _, c := range s.loops {
		c.poller.Close()
	}
}
