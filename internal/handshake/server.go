// Package handshake makes the handshakes of TLS 1.3 for event loops. crypto/tls does each in
// a goroutine of its own, on a connection in memory ([Conn]) that the loop feeds with what it
// reads and whose output it writes: only the loop touches the socket. Behind the handshake
// the loop takes the [tlsrecord.State] and what the client has sent already, and the
// goroutine is gone.
//
// crypto/tls does not hand out its keys, but logs them, by an interface that Go keeps stable
// (tls.Config.KeyLogWriter). The writer is one a connection: with a common one, connections
// would be told apart by the random number of their ClientHello, which is not secret, and a
// client that copied another's could have that one's stream sealed with its own key. Nothing
// about the keys is assumed: tlsrecord.CountSealed opens what crypto/tls has sealed with
// them, and New tries all of it once with a client in memory.
//
// A handshake computes while it has one of a few tokens, which it gives back while it waits
// for its client. Secrets stand in Go's heap until the handshake is over, and are not wiped
// there.
package handshake

import (
	"crypto/tls"
	"fmt"
	"sync"
)

// Config says how handshakes are made.
type Config struct {
	// Certificate chooses the certificate for a client. Safe for concurrent use.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Protocols are those of ALPN, the first that a client has, too, is chosen.
	Protocols []string
	// Computing is how many handshakes compute at a time.
	Computing int
}

// Server makes handshakes. Safe for concurrent use.
type Server struct {
	pool
	base *tls.Config
}

// pool is what the handshakes of one end share.
type pool struct {
	tokens  chan struct{}
	running sync.WaitGroup
}

// New returns a server whose handshakes are known to work: it has made one, with a client in
// memory and a certificate of its own.
func New(cfg Config) (*Server, error) {
	s := newServer(cfg)
	if err := s.selfTest(); err != nil {
		return nil, fmt.Errorf("TLS is not served, since a handshake with itself has failed, perhaps because crypto/tls has changed: %w", err)
	}
	return s, nil
}

func newServer(cfg Config) *Server {
	s := &Server{}
	s.tokens = make(chan struct{}, max(cfg.Computing, 1))
	s.base = &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         cfg.Protocols,
		GetCertificate:     cfg.Certificate,
		GetConfigForClient: s.configFor,
	}
	return s
}

// SetTicketKeys has handshakes from now on seal session tickets with the first of keys and
// open them with all. Nodes behind one name need the same; until it is called, a node makes
// its own, and a new one every day.
func (s *Server) SetTicketKeys(keys [][32]byte) { s.base.SetSessionTicketKeys(keys) }

// configFor returns the configuration of one connection, with a key log of its own. Session
// tickets are those of the base all the same.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := hello.Conn.(*memory).c
	c.noteHello(hello)
	cfg := s.base.Clone()
	cfg.KeyLogWriter = &c.keys
	return cfg, nil
}

// Wait returns when no handshake is under way any more. All of them have to be over or
// closed.
func (p *pool) Wait() { p.running.Wait() }
