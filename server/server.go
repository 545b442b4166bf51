package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Server accepts event streams on one address. Its methods are safe for
// concurrent use.
type Server struct {
	cfg    Config
	broker *channels.Broker
	log    *slog.Logger
	addr   net.Addr
	heads  heads
	table  *table
	loops  []*loop
	clock  func() time.Duration // loop time: since the server began

	// maxStreams is the connection limit; maxOpen is more by the part of the
	// reserve that requests which are no streams may take.
	maxStreams, maxOpen int64
	limit               int
	open                atomic.Int64 // accepted sockets of all loops
	streams             atomic.Int64 // event streams of all loops

	running sync.WaitGroup
	stop    sync.Once
	failed  chan error
}

// New checks cfg and opens the listeners; nothing is accepted before Start.
// Errors wrap ErrConfig, or come from the operating system. What New has opened
// is closed by Close.
func New(cfg Config, broker *channels.Broker) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	began := time.Now()
	s := &Server{cfg: cfg, broker: broker, log: cfg.Logger, clock: func() time.Duration { return time.Since(began) }}
	s.heads = newHeads(&s.cfg)
	s.limit = descriptorLimit()
	s.table = newTable(min(s.limit, maxTable))
	spare := reserve(s.limit)
	s.maxStreams = int64(cfg.MaxConnections)
	if s.maxStreams == 0 {
		s.maxStreams = int64(max(min(s.limit, maxTable)-spare, 1))
	}
	s.maxOpen = s.maxStreams + int64(spare/2)
	s.failed = make(chan error, cfg.Loops)
	if err := s.openLoops(); err != nil {
		s.Close()
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	return s, nil
}

func (s *Server) openLoops() error {
	addr := s.cfg.Listen
	if listenerPerLoop {
		if err := probe(addr); err != nil {
			return err
		}
	}
	for i := range s.cfg.Loops {
		l, err := openLoop(s, int32(i))
		if err != nil {
			return err
		}
		s.loops = append(s.loops, l)
		var fd int32
		if listenerPerLoop || i == 0 {
			fd, s.addr, err = listen(addr, listenerPerLoop)
			if err == nil {
				addr = s.addr.String() // port 0 has become one that the others share
			}
		} else {
			fd, err = duplicate(s.loops[0].listener)
		}
		if err != nil {
			return err
		}
		if err := l.addListener(fd); err != nil {
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
	fd, _, err := listen(addr, false)
	if err != nil {
		return err
	}
	return unix.Close(int(fd))
}

// Start sets the loops running.
func (s *Server) Start() {
	for _, l := range s.loops {
		s.running.Go(func() {
			if err := l.run(); err != nil {
				s.failed <- fmt.Errorf("event loop %d: %w", l.number, err)
			}
		})
	}
}

// Failed receives an error for each loop that could not go on.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.addr }

// Loops returns the number of event loops.
func (s *Server) Loops() int { return s.cfg.Loops }

// MaxConnections returns how many event streams may be open at once.
func (s *Server) MaxConnections() int { return int(s.maxStreams) }

// DescriptorLimit returns the limit on open descriptors that the server found
// and, where it could, raised.
func (s *Server) DescriptorLimit() int { return s.limit }

// Close stops accepting, closes every connection, and returns when the loops
// have ended and their descriptors are closed.
func (s *Server) Close() {
	s.stop.Do(func() {
		for _, l := range s.loops {
			l.stopping.Store(true)
			l.waker.signal()
		}
		s.running.Wait()
		for _, l := range s.loops {
			l.close()
		}
	})
}

// IsInUse tells whether err says that a port is taken.
func IsInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
