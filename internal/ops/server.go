// Package ops is the port for operators: health, metrics, figures of channels and
// connections, publishing by HTTP, profiles, and a page that shows it all. It is
// ordinary net/http, since its clients are few.
//
// A [Server] looks at a node from outside. It reads counters without locks, asks
// the broker under its lock for short lists only, and asks event loops by their
// mail, never touching their state.
//
// Caveats. There is no encryption unless Config.TLS is set. Without a token only a loopback address is
// served, to requests that name it as such: pages in a browser on the same host
// must not reach it under a name of their own.
package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/acme"
	"millrace/internal/admin"
	"millrace/internal/auth/application"
	"millrace/internal/auth/ticket"
	"millrace/internal/auth/token"
	"millrace/internal/backplane/link"
	"millrace/internal/certs"
	"millrace/internal/control"
	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/internal/throttle"
	"millrace/server"
)

// ErrNoToken is returned for an address that other hosts can reach while there
// is no token.
var ErrNoToken = errors.New("reachable from other hosts without a token")

const (
	// headerTimeout bounds the time for a request head, and maxHead its size.
	headerTimeout = 10 * time.Second
	maxHead       = 16 << 10
	// idleTimeout is how long a connection waits for its next request.
	idleTimeout = 2 * time.Minute
	// DefaultMaxConnections is how many connections there are at a time, unless Config
	// says otherwise.
	DefaultMaxConnections = 512
	// requestTimeout is how long a request may take to arrive, its body included, and
	// answerTimeout its answer to be made and to be taken. Streams and profiles have
	// deadlines of their own.
	requestTimeout, answerTimeout = 30 * time.Second, 30 * time.Second
)

// Config of a Server. Broker and Streams are required.
type Config struct {
	Broker         *channels.Broker
	Streams        *server.Server
	Token          string                   // that requests must bear; empty: none
	MaxEventBytes  int                      // largest event of the broker; 0: channels.DefaultMaxEventBytes
	MaxConnections int                      // at a time; 0: DefaultMaxConnections
	Version        string                   // of millrace
	Admin          func() admin.Stats       // of the admin port; nil: there is none
	Engine         func() link.State        // of the engine between nodes; nil: there is none
	Upgrades       func() handover.Upgrades // nil: nothing is told of them
	LogDropped     func() int64             // lines that the log has dropped; nil: none
	Ready          func() error             // why the node should get no new clients, nil if it should; nil: always
	Control        *control.Control         // what POST /tickets and POST /kick ask; nil: they are not available
	Tickets        *ticket.Tickets          // that it issues; nil: none
	Tokens         *token.Tokens            // that it takes; nil: none
	Application    *application.Application // that says who may listen; nil: none does
	Certificates   *certs.Store             // of the node; nil: no port has TLS
	Issued         *acme.Manager            // of Certificates; nil: none
	TLS            *ports.TLS               // nil: this port is in the clear
	TicketKeys     *certs.TicketKeys        // of session tickets there; nil: the node makes its own
	Logger         *slog.Logger             // nil: nothing is logged
}

// Server is the ops port. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	places   *ports.Places
	guard    *guard
	http     http.Server
	started  time.Time
	base     bases
	sampler  *sampler
	streams  ports.Bound
	profiles ports.Bound
	surveys  atomic.Int64    // under way
	life     context.Context // ends with Close, and with it the event streams
	end      context.CancelFunc
	passing  passing
	running  sync.WaitGroup // the sampler
}

// Listen opens the TCP address addr, unless Check refuses it. Close closes it.
func Listen(addr string, cfg Config) (*Server, error) {
	if err := Check(addr, cfg.Token); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("ops address %q: %w", addr, err)
	}
	return New(ln, cfg)
}

// Check reports what is wrong with addr, and opens nothing. An address that is
// not a loopback one is refused with ErrNoToken if there is no token.
func Check(addr, token string) error {
	tcp, err := ports.Resolve(addr)
	if err != nil {
		return err
	}
	if tcp.IP.IsLoopback() || token != "" {
		return nil
	}
	return fmt.Errorf("ops address %s: %w: set --ops-token, or bind a loopback address such as 127.0.0.1:%d", tcp, ErrNoToken, tcp.Port)
}

// New returns a server of the connections that ln accepts, which Check would allow. The
// server owns ln.
func New(ln net.Listener, cfg Config) (*Server, error) {
	if err := Check(ln.Addr().String(), cfg.Token); err != nil {
		return nil, err
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = DefaultMaxConnections
	}
	if cfg.MaxEventBytes == 0 {
		cfg.MaxEventBytes = channels.DefaultMaxEventBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.LogDropped == nil {
		cfg.LogDropped = func() int64 { return 0 }
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	s := &Server{
		cfg:     cfg,
		places:  ports.NewPlaces(ports.NewSteady(ln, "ops", cfg.Logger), "ops", cfg.MaxConnections, cfg.Logger),
		guard:   newGuard(cfg.Token, cfg.Logger),
		started: time.Now(),
	}
	s.streams.SetMost(max(1, min(maxStreams, s.places.Most()/4)))
	s.profiles.SetMost(max(1, min(maxProfiles, s.places.Most()/8)))
	s.life, s.end = context.WithCancel(context.Background())
	s.passing.begin()
	s.sampler = newSampler(&s.cfg)
	s.http = http.Server{
		Handler:           s.places.Handler(plain(s.room(s.guard.hosts(s.routes())))),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ConnContext:       s.places.ConnContext,
		ConnState:         s.places.ConnState,
		BaseContext:       func(net.Listener) context.Context { return s.life },
		ErrorLog:          throttle.ErrorLog(cfg.Logger, "a connection of the ops port"),
	}
	s.running.Go(func() { s.sampler.run(s.life) })
	return s, nil
}

// routes are all requests. Those that tell nothing of the node are open; the rest needs
// the token.
func (s *Server) routes() http.Handler {
	secret := http.NewServeMux()
	secret.HandleFunc("POST /publish", s.publish)
	secret.HandleFunc("POST /tickets", s.tickets)
	secret.HandleFunc("POST /kick", s.kick)
	costly := make(turns, maxCostly)
	secret.Handle("GET /channels", costly.take(http.HandlerFunc(s.listChannels)))
	secret.Handle("GET /connections", costly.take(http.HandlerFunc(s.listConnections)))
	secret.HandleFunc("GET /events", s.passing.until(s.events))
	secret.HandleFunc("GET /busiest", s.passing.until(s.busiest))
	secret.HandleFunc("GET /follow", s.passing.until(s.follow))
	secret.Handle("GET /metrics", costly.take(s.metrics()))
	secret.HandleFunc("/debug/pprof/", s.profile(pprof.Index)) // not cmdline, which may have keys
	secret.HandleFunc("/debug/pprof/profile", s.profile(pprof.Profile))
	secret.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	secret.HandleFunc("/debug/pprof/trace", s.profile(pprof.Trace))

	all := http.NewServeMux()
	for path, handler := range map[string]http.Handler{
		"/healthz": http.HandlerFunc(s.health), "/readyz": http.HandlerFunc(s.readiness), "/{$}": page(), "/dashboard/": page(),
	} {
		all.Handle("GET "+path, handler)
		all.HandleFunc(path, onlyGet) // or the last line had it
	}
	all.Handle("/", s.guard.token(secret))

	channel := s.guard.token(http.HandlerFunc(s.showChannel))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, namePrefix) { // a ServeMux would take the slashes of a name for slips
			channel.ServeHTTP(w, r)
		} else {
			all.ServeHTTP(w, r)
		}
	})
}

// onlyGet refuses a request whose method is another one.
func onlyGet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	fail(w, http.StatusMethodNotAllowed, "%s of %.255q, want GET, HEAD", r.Method, r.URL.Path)
}

// SetToken has the server ask for another token than before. Whether one is asked for
// does not change: that is Config's.
func (s *Server) SetToken(token string) { s.guard.setToken(token) }

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.places.Addr() }

// inClear is the answer to a client without TLS at a port that takes nothing else.
const inClear = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"this port takes TLS only: ask for https:// in place of http://\n"

// Serve answers requests until Close is called, and then returns nil. Call it
// once.
func (s *Server) Serve() error {
	s.places.Begin()
	var ln net.Listener = s.places
	if s.cfg.TLS != nil {
		ln = s.cfg.TLS.Listener(ln, inClear)
	}
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("ops port: %w", err)
	}
	return nil
}

// Close stops accepting, ends the streams, and returns once all is quiet. Answers under
// way have a moment to end.
func (s *Server) Close() error {
	s.end()
	defer s.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}
