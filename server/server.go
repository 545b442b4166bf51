package server

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/dialect"
	"millrace/internal/fdtable"
	"millrace/internal/limits"
	"millrace/internal/netpoll"
)

// Server accepts event streams on one address. Its methods are safe for
// concurrent use.
type Server struct {
	cfg      Config
	capacity capacity
	broker   *channels.Broker
	addr     bound // none without Config.Listen
	tlsAddr  bound // none without Config.TLSListen
	heads    heads
	dialects []dialect.Dialect    // the plain one is the last
	clock    func() time.Duration // loop time: since the server began
	wall     func() time.Time     // the clock of authorizers
	loops    []*loop

	arrivals  limits.Bucket     // new connections of all loops
	addresses *limits.Addresses // nil when nothing is bounded by address

	users *limits.Users // of grants

	open    atomic.Int64 // accepted sockets of all loops
	streams atomic.Int64 // event streams of all loops
	// undecided are requests of all loops that wait for a verdict, asked the bytes of those
	// that authorizers have not answered.
	undecided, asked atomic.Int64
	sealed           atomic.Int64 // bytes of the rests of TLS records of all loops
	maxSealed        int64        // that sealed may be

	handshakesEach int     // that may be under way on each loop
	keys           []*keys // of the descriptor tables

	ferry   *fdtable.Ferry // to the tables of loops that have one each, else nil
	handing handingOver
	taking  takingOver

	drainAll sync.Once     // by Drain
	draining atomic.Bool   // set by Drain
	drained  chan struct{} // receives from every loop when it has done with that

	started chan struct{} // closed when the loops may run
	start   sync.Once
	running sync.WaitGroup // the loops
	stop    sync.Once
	failed  chan error
}

// New checks cfg and opens the listeners; nothing is accepted before Start.
// Errors wrap ErrConfig, or come from the operating system. Close closes the
// listeners.
func New(cfg Config, broker *channels.Broker) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	capacity, err := planCapacity(&cfg, DescriptorLimit())
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		if err := tryKeys(); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	if cfg.Successor != nil {
		began = cfg.Successor.began()
	}
	s := &Server{
		cfg: cfg, capacity: capacity, broker: broker, maxSealed: maxSealed,
		clock:   func() time.Duration { return time.Since(began) },
		wall:    time.Now,
		started: make(chan struct{}),
		drained: make(chan struct{}, capacity.loops),
		failed:  make(chan error, capacity.loops),
	}
	s.heads = newHeads(&s.cfg)
	s.dialects = append(slices.Clone(cfg.Dialects), dialect.Plain{Aliases: cfg.Aliases})
	s.arrivals.Set(cfg.AcceptRate)
	if cfg.MaxConnectionsPerIP > 0 || cfg.AcceptRatePerIP != (Rate{}) {
		s.addresses = limits.NewAddresses(cfg.MaxConnectionsPerIP, cfg.AcceptRatePerIP)
	}
	s.users = limits.NewUsers(cfg.MaxConnectionsPerUser)
	s.taking.adopted = make(chan Adoption, 3*capacity.loops)
	s.taking.holds = cfg.Successor != nil
	s.handing.patience = 3 * handTimeout
	if err := s.openLoops(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openLoops starts the goroutines of the loops, each with its listener open.
func (s *Server) openLoops() error {
	for _, addr := range []string{s.cfg.Listen, s.cfg.TLSListen} {
		if addr != "" && netpoll.ListenerPerLoop && s.cfg.Successor == nil {
			if err := probe(addr); err != nil {
				return &ListenError{addr, err}
			}
		}
	}
	// Every waker comes before the first table is copied: a number by which one
	// loop wakes another must mean the same in all tables.
	sharing := s.capacity.loops
	if s.capacity.perLoop {
		sharing = 1
		var err error
		if s.ferry, err = fdtable.OpenFerry(); err != nil {
			return err
		}
	}
	s.handshakesEach = max(s.cfg.TLSHandshakes/s.capacity.loops, 1)
	var table *table
	var taken *occupancy
	for i := range s.capacity.loops {
		if i == 0 || s.capacity.perLoop {
			table, taken = newTable(s.capacity.limit), newOccupancy(s.capacity.table, sharing)
			s.keys = append(s.keys, newKeys(s.capacity.limit))
		}
		l, err := newLoop(s, int32(i), table, taken, s.keys[len(s.keys)-1])
		if err != nil {
			return err
		}
		s.loops = append(s.loops, l)
	}
	for _, l := range s.loops {
		opened := make(chan error, 1)
		s.running.Add(1)
		live := func(err error) {
			defer s.running.Done()
			l.live(err, opened)
		}
		if !s.capacity.perLoop {
			go live(nil)
		} else if err := fdtable.Go(live); err != nil {
			s.running.Done()
			return err
		}
		if err := <-opened; err != nil {
			return err
		}
	}
	return nil
}

// probe reports whether another process has the port. SO_REUSEPORT would let
// two servers of one user share it without a word.
func probe(addr string) error {
	if _, port, _ := net.SplitHostPort(addr); port == "0" {
		return nil
	}
	fd, _, err := listen(addr)
	if err != nil {
		return err
	}
	return unix.Close(int(fd))
}

// Start sets the loops running.
func (s *Server) Start() { s.start.Do(func() { close(s.started) }) }

// Failed receives an error for each loop that could not go on.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr returns the address that the server listens on in the clear, nil if it does not.
// A successor does not know until its first loop serves.
func (s *Server) Addr() net.Addr { return s.addr.get() }

// TLSAddr returns the address that it listens on for TLS, nil if it does not.
// A successor does not know until its first loop serves.
func (s *Server) TLSAddr() net.Addr { return s.tlsAddr.get() }

// Loops returns the number of event loops.
func (s *Server) Loops() int { return s.capacity.loops }

// MaxConnections returns how many event streams may be open at once.
func (s *Server) MaxConnections() int { return s.capacity.streams }

// MaxChannels returns how many channels streams may be on.
func (s *Server) MaxChannels() int { return s.capacity.channels }

// DescriptorLimit returns the limit on open descriptors of one table that the
// server found and, where it could, raised.
func (s *Server) DescriptorLimit() int { return s.capacity.limit }

// FDTables returns whether the loops share one descriptor table or have one
// each.
func (s *Server) FDTables() FDTables {
	if s.capacity.perLoop {
		return FDTablesPerLoop
	}
	return FDTablesShared
}

// Room returns how many event streams the descriptor tables have room for. When
// it is less than MaxConnections, accepting will pause before the limit is
// reached.
func (s *Server) Room() int { return s.capacity.room }

// Close stops accepting, closes every connection, and returns when the loops
// have ended and their descriptors are closed.
func (s *Server) Close() {
	s.stop.Do(func() {
		for _, l := range s.loops {
			l.stopping.Store(true)
			l.waker.Signal()
		}
		s.Start() // loops that have not begun see that they need not
		s.running.Wait()
		for _, l := range s.loops {
			l.alarm.Stop()
			l.waker.Close()
		}
		if s.cfg.TLS != nil {
			s.cfg.TLS.Wait()
		}
		for _, k := range s.keys {
			k.close()
		}
		if s.ferry != nil {
			s.ferry.Close()
		}
	})
}

// IsInUse tells whether err says that a port is taken.
func IsInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
