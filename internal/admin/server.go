// Package admin is the port through which events are published and a running
// server is looked at. It speaks the Redis protocol, so that redis-cli, any Redis
// client and the programs built on one can broadcast to millrace unchanged.
//
// A [Server] accepts connections, each served by a goroutine of its own:
// publishers are few, subscribers are many. Commands that a connection sent together
// are executed together and answered with one write, so a pipeline of a thousand
// PUBLISH reaches the event loops as one burst. A connection that
// subscribes, or does not take its replies at once, gets an [outbox] and a second
// goroutine that writes it, so that publishers never wait for a subscriber, and a
// client may send all of its commands before it reads.
//
// Caveats. There are no keys and no databases, a transaction is no more than a
// queue, and there is no encryption: bind a loopback address, or set a password and
// a network that can be trusted.
package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/backplane/link"
	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/internal/resp"
	"millrace/internal/throttle"
	"millrace/server"
)

// ErrNoPassword is returned for an address that other hosts can reach while
// there is no password.
var ErrNoPassword = errors.New("reachable from other hosts without a password")

// DefaultMaxClients is the number of connections that a server keeps unless
// Config says otherwise.
const DefaultMaxClients = 256

// strangersShare is the part of the connections, one in so many, that clients may
// have which have not given the password.
const strangersShare = 4

// Broker is what the commands work on. channels.Ports is one. Safe for
// concurrent use.
type Broker interface {
	// Publish must not keep ev.Data, which lies in the buffer of a connection.
	Publish(channel string, ev channels.Event) (channels.Receipt, error)
	// Linked tells that publishing waits for an engine: then it is done with
	// PublishAll.
	Linked() bool
	PublishAll(batch []channels.Publication)
	Subscribers(channel string) int
	Channels() []string
	Figures() channels.Figures
	Publishing() channels.PublishingFigures

	Observe(o channels.Observer, names ...string)
	ObserveTogether(audiences ...channels.Audience)
	Unobserve(o channels.Observer, names ...string)
	ObserveGlob(o channels.Observer, g channels.Glob)
	UnobserveGlob(o channels.Observer, g channels.Glob)
	Globs() int
}

// Streams are the event streams that INFO and SSE.CONNECTIONS tell of. *server.Server is
// one. Safe for concurrent use.
type Streams interface {
	Stats() server.Stats
	SlowReaders(ctx context.Context, n int) ([]server.SlowReader, error)
}

// Config of a Server. Only Broker is required.
type Config struct {
	Broker        Broker
	Streams       Streams                  // nil: nothing is told of them
	Password      string                   // of the user "default"; empty: every client is let in
	TLS           *ports.TLS               // nil: the port is in the clear
	MaxEventBytes int                      // largest event of the broker; 0: channels.DefaultMaxEventBytes
	MaxClients    int                      // connections at a time; 0: DefaultMaxClients
	Version       string                   // of millrace, for INFO
	Control       Control                  // what SSE.TICKET and SSE.KICK ask; nil: they are not available
	Engine        func() link.State        // of the engine between nodes; nil: there is none
	Ops           func() ports.OpsStats    // of the ops port; nil: there is none
	Upgrades      func() handover.Upgrades // nil: nothing is told of them
	LogDropped    func() int64             // lines that the log has dropped; nil: none
	Logger        *slog.Logger             // nil: nothing is logged
}

// Server is the admin port. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	ln       *ports.Steady
	password atomic.Pointer[[sha256.Size]byte] // hash of it, so that comparing takes the same time whatever its length
	limits   resp.Limits                       // of a client that has authenticated
	started  time.Time                         // of the port, for clients: a successor goes on with it
	began    time.Time                         // in this process

	guesses throttle.Guesses

	accepted, rejected, displaced, commands atomic.Int64
	subscribers, dropped                    atomic.Int64 // connections that have subscribed; those ended because they did not read
	unsent                                  atomic.Int64 // bytes in all outboxes
	ended                                   atomic.Int64 // connections that upgrades have ended

	mu      sync.Mutex
	conns   map[*conn]struct{}
	release release
	coming  coming         // connections of a predecessor
	stopped chan struct{}  // closed by Close
	running sync.WaitGroup // Serve and the connections; not added to once stopped is closed, but by Close
}

// Listen opens the TCP address addr, unless Check refuses it.
func Listen(addr string, cfg Config) (*Server, error) {
	if err := Check(addr, cfg); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", addr, err)
	}
	return New(ln, cfg)
}

// Check reports what is wrong with addr and cfg, and opens nothing. An address
// that is not a loopback one is refused with ErrNoPassword if there is no
// password.
func Check(addr string, cfg Config) error {
	tcp, err := ports.Resolve(addr)
	if err != nil {
		return err
	}
	return checkExposure(tcp, cfg)
}

// New returns a server of the connections that ln accepts. It refuses what
// Check would refuse; otherwise the server owns ln.
func New(ln net.Listener, cfg Config) (*Server, error) {
	if err := checkExposure(ln.Addr(), cfg); err != nil {
		return nil, err
	}
	if cfg.MaxEventBytes == 0 {
		cfg.MaxEventBytes = channels.DefaultMaxEventBytes
	}
	if cfg.MaxClients == 0 {
		cfg.MaxClients = DefaultMaxClients
	}
	if cfg.LogDropped == nil {
		cfg.LogDropped = func() int64 { return 0 }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = throttle.Logger(cfg.Logger) // clients cause its lines
	// The broker is the one to refuse an event, and the connection outlives that.
	// Only a request that is far too large, or no event at all, is refused before it
	// has been read.
	const slack = 64 << 10
	s := &Server{
		cfg: cfg,
		ln:  ports.NewSteady(ln, "admin", cfg.Logger),
		limits: resp.Limits{
			Elements: maxChannels + 1, // a client that comes back subscribes to all at once
			Bulk:     cfg.MaxEventBytes + slack,
			Command:  cfg.MaxEventBytes + 64*slack,
		},
		started: time.Now(),
		began:   time.Now(),
		conns:   make(map[*conn]struct{}),
		stopped: make(chan struct{}),
	}
	s.release.begin()
	s.SetPassword(cfg.Password)
	return s, nil
}

// SetPassword has the server ask for another password than before, of clients that have
// yet to give it. Whether one is asked for does not change: that is Config's.
func (s *Server) SetPassword(password string) {
	sum := sha256.Sum256([]byte(password))
	s.password.Store(&sum)
}

func checkExposure(addr net.Addr, cfg Config) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || cfg.Password != "" {
		return nil
	}
	return fmt.Errorf("admin address %s: %w: set --admin-password, or bind a loopback address such as 127.0.0.1:%d",
		addr, ErrNoPassword, tcp.Port)
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Descriptor is that of the listener, for a successor.
func (s *Server) Descriptor() (fd int, err error) { return s.ln.Descriptor() }

// Serve accepts connections until Close is called, and then returns nil. Connections that
// were adopted go on from here. An error is that of a listener which somebody else has
// closed. Call it once.
func (s *Server) Serve() error {
	s.mu.Lock()
	if s.isStopped() {
		s.mu.Unlock()
		return nil
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	s.begin()
	for s.enterAccept() {
		err := s.accept()
		s.leaveAccept()
		if err != nil {
			return fmt.Errorf("admin port: %w", err)
		}
	}
	return nil
}

// accept accepts connections until the server is released or stopped.
func (s *Server) accept() error {
	for {
		nc, err := s.ln.Accept()
		switch {
		case err == nil:
			s.admit(nc)
		case s.isStopped(), errors.Is(err, os.ErrDeadlineExceeded): // see Release
			return nil
		default:
			return err
		}
	}
}

// admit serves a connection on a goroutine of its own, or turns it away.
func (s *Server) admit(nc net.Conn) {
	c := newConn(s, nc, s.accepted.Add(1))
	s.mu.Lock()
	room := s.makeRoom()
	if room && !s.isStopped() {
		s.conns[c] = struct{}{}
		if c.parked = s.isReleasing(); !c.parked {
			s.startLocked(c)
		}
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if !room {
		s.rejected.Add(1)
		s.cfg.Logger.Warn("admin port is full: a connection is turned away", "client", nc.RemoteAddr(),
			"connections", s.cfg.MaxClients, "idle_for_a_minute", s.idle(time.Minute), "remedy", "--max-admin-connections")
		c.fail("ERR max number of clients reached")
		c.socket.write(c.out) // with TLS nothing can be said before the handshake
	}
	c.hangUp()
}

// makeRoom tells whether there is a place for one client more. Those that have not
// given the password, or have not made their handshake, share a part of the places: the one
// that has been there for longest goes if need be, since a client that knows the password
// gives it at once. None of the others is ended, however idle: clients have pools. Called
// with mu held.
func (s *Server) makeRoom() bool {
	strangers, oldest := 0, (*conn)(nil)
	for c := range s.conns {
		if !c.known.Load().authenticated {
			strangers++
			if oldest == nil || c.id < oldest.id {
				oldest = c
			}
		}
	}
	open := s.cfg.Password == ""
	if len(s.conns) < s.cfg.MaxClients && (open || strangers < max(1, s.cfg.MaxClients/strangersShare)) {
		return true
	}
	if oldest == nil {
		return false
	}
	s.displaced.Add(1)
	s.cfg.Logger.Warn("admin port has too many clients without a password: the first of them is ended",
		"client", oldest.nc.RemoteAddr(), "without_password", strangers, "connections", len(s.conns))
	delete(s.conns, oldest)
	oldest.hangUp()
	return true
}

// idle returns how many clients have sent nothing for so long.
func (s *Server) idle(since time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.idle() >= since {
			n++
		}
	}
	return n
}

func (s *Server) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

func (s *Server) clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close stops accepting, closes the connections, and returns once all is quiet.
// It may be called again.
func (s *Server) Close() error {
	s.mu.Lock()
	var err error
	if !s.isStopped() {
		close(s.stopped)
		err = s.ln.Close()
		s.endLocked()
		s.coming.admin.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}
