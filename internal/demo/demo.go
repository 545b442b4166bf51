// Package demo is an example that a newcomer opens in a browser: a page with a
// ticker and a chat, as an application would have it.
//
// A [Server] is that application and the proxy in front of it in one, ordinary
// net/http: it answers the page, publishes chat messages, and passes every other
// request on to the event streams, so that all is of one origin. The event loops
// know nothing of it.
//
// Caveats. It is to be looked at, not to be measured: every stream costs two
// goroutines here and two sockets more. Anybody who reaches it may chat.
package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"millrace/channels"
	"millrace/internal/ports"
	"millrace/internal/throttle"
)

// The channels of the page.
const (
	tickerChannel = "/demo/ticker"
	chatChannel   = "/demo/chat"
)

const (
	headerTimeout = 10 * time.Second
	// requestTimeout and answerTimeout bound a request and its answer. A stream has as
	// long for everything that is written to it.
	requestTimeout, answerTimeout = 30 * time.Second, 30 * time.Second
	idleTimeout                   = 2 * time.Minute
	// maxConnections is how many there are at a time, half of them streams.
	maxConnections = 512
	// maxSaid bounds a chat message, and maxName the name of its author, in bytes.
	maxSaid = 500
	maxName = 40
)

// Config of a Server. All of it is required.
type Config struct {
	Broker  *channels.Broker
	Streams string // address of the event streams
	Admin   string // address that the page names for publishers
	Ops     string // address that it names for the dashboard
	Logger  *slog.Logger
}

// Server is the demo. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	places  *ports.Places
	streams ports.Bound
	http    http.Server
	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// Listen opens the TCP address addr and begins to publish prices.
func Listen(addr string, cfg Config) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("demo address %q: %w", addr, err)
	}
	s := &Server{cfg: cfg, places: ports.NewPlaces(ports.NewSteady(ln, "demo's", cfg.Logger), "demo's", maxConnections, cfg.Logger)}
	s.streams.SetMost(maxConnections / 2)
	s.life, s.end = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		ConnContext:       s.places.ConnContext,
		BaseContext:       func(net.Listener) context.Context { return s.life },
		ErrorLog:          throttle.ErrorLog(cfg.Logger, "a connection of the demo"),
	}
	s.running.Go(func() { s.trade(s.life) })
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("POST /demo/say", s.say)
	streams := s.proxy()
	// Not by the mux: it would take the slashes of a channel's name for slips.
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case ports.Kept(r): // there is nothing here that they are kept for
			s.places.Reject(r)
			w.Header().Set("Connection", "close")
			comeBack(w)
		case r.URL.Path == "/" || r.URL.Path == "/demo/say":
			defer ports.Busy(r)()
			mux.ServeHTTP(w, r)
		case !s.streams.Begin():
			comeBack(w)
		default:
			defer s.streams.End()
			defer ports.Busy(r)()
			ports.Patient(r)
			streams.ServeHTTP(&patientWriter{w, http.NewResponseController(w)}, r)
		}
	}))
}

// proxy passes requests on to the event streams.
func (s *Server) proxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: s.cfg.Streams})
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { comeBack(w) },
	}
}

// comeBack tells a client to come back. An EventSource that gets an error gives up for
// good.
func comeBack(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 2000\n\n")
}

// patientWriter writes an answer that goes on, for as long as its client takes it.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Unwrap is for http.ResponseController.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter.
func (w *patientWriter) Write(p []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.places.Addr() }

// Serve answers requests until Close is called, and then returns nil. Call it
// once.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.places); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.end()
	defer s.running.Wait()
	return errors.Join(s.http.Close(), ignoreClosed(s.places.Close()))
}

// ignoreClosed is for a listener that Serve may have closed.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// page answers with the page.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	page.Execute(w, s.cfg) // an error is the client's, which has gone
}

// said is a chat message.
type said struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// say publishes a chat message, as an application would after it has checked its
// author.
func (s *Server) say(w http.ResponseWriter, r *http.Request) {
	var what said
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4*(maxSaid+maxName))).Decode(&what); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	what.Name, what.Text = shorten(what.Name, maxName), shorten(what.Text, maxSaid)
	if what.Name == "" || what.Text == "" {
		http.Error(w, "want a name and a text", http.StatusBadRequest)
		return
	}
	receipt, err := s.publish(chatChannel, "chat", what)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"receivers":%d}`+"\n", receipt.Receivers)
}

// publish publishes v as JSON.
func (s *Server) publish(channel, kind string, v any) (channels.Receipt, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return channels.Receipt{}, err
	}
	return s.cfg.Broker.Publish(channel, channels.Event{Data: data, Type: kind})
}

// shorten returns text without space around, and not more than most bytes of it.
func shorten(text string, most int) string {
	text = strings.TrimSpace(text)
	for len(text) > most {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
