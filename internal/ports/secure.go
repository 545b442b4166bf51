package ports

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/handshake"
	"millrace/internal/throttle"
)

// TLS has a port take TLS 1.3 only, by crypto/tls. Event loops have their own
// (internal/handshake). Safe for concurrent use.
type TLS struct {
	name       string // of the port, for people
	log        *slog.Logger
	config     *tls.Config
	failed     throttle.Line
	handshakes atomic.Uint64
	failures   [len(handshake.Failures)]atomic.Uint64
}

// TLSStats are the figures of a port's handshakes: those that have succeeded and, by kind, the
// others.
type TLSStats struct {
	Handshakes uint64
	Failures   map[string]uint64
}

// NewTLS returns that of the port which people know by name. certificate chooses for each
// client, protocols are those of ALPN, none for any. What clients cause is logged once a
// second.
func NewTLS(name string, log *slog.Logger, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *TLS {
	return &TLS{name: name, log: log, config: &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: certificate,
		NextProtos:     protocols,
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			info.Conn.(*wire).hello = handshake.HelloOf(info)
			return nil, nil // the same for all
		},
	}}
}

// SetTicketKeys has session tickets sealed with the first of keys and opened with all. Until it
// is called, the port makes its own.
func (t *TLS) SetTicketKeys(keys [][32]byte) { t.config.SetSessionTicketKeys(keys) }

// Stats returns the figures as they are now; of a port in the clear, whose t is nil, nil.
func (t *TLS) Stats() *TLSStats {
	if t == nil {
		return nil
	}
	s := &TLSStats{Handshakes: t.handshakes.Load(), Failures: make(map[string]uint64, len(t.failures))}
	for i, kind := range handshake.Failures {
		s.Failures[string(kind)] = t.failures[i].Load()
	}
	return s
}

// Listener returns the connections of ln with TLS. A client that speaks in the clear gets the
// answer inClear.
func (t *TLS) Listener(ln net.Listener, inClear string) net.Listener {
	return secureListener{ln, t, inClear}
}

type secureListener struct {
	net.Listener
	tls     *TLS
	inClear string
}

// Accept implements net.Listener.
func (l secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.tls.Server(conn, l.inClear), nil
}

// SecureConn is the server's end of a TLS connection. Its first Read makes the handshake, if
// Handshake has not. It is no tls.Conn to net/http, which could not count failures.
type SecureConn struct {
	*tls.Conn
	of      *TLS
	wire    *wire
	inClear string
	once    sync.Once
	err     error // of the handshake
}

// Server returns the server's end of conn. A client that speaks in the clear gets the answer
// inClear.
func (t *TLS) Server(conn net.Conn, inClear string) *SecureConn {
	w := &wire{Conn: conn}
	return &SecureConn{Conn: tls.Server(w, t.config), of: t, wire: w, inClear: inClear}
}

// NetConn returns the connection that was given to Server.
func (c *SecureConn) NetConn() net.Conn { return c.wire.Conn }

// Handshake makes the handshake, and counts it. A panic fails this one only.
func (c *SecureConn) Handshake() error {
	c.once.Do(func() {
		if c.err = c.shake(); c.err == nil {
			c.of.handshakes.Add(1)
		} else {
			c.fail()
		}
	})
	return c.err
}

func (c *SecureConn) shake() (err error) {
	defer handshake.Catch(&err)
	return c.Conn.Handshake()
}

// fail counts the failure, and logs it if it is not just a client that looks whether the port
// is open.
func (c *SecureConn) fail() {
	kind, level := c.wire.hello.Why(c.err), slog.LevelInfo
	if header := (tls.RecordHeaderError{}); kind == handshake.Garbage && errors.As(c.err, &header) && speaksInClear(header.RecordHeader[0]) {
		kind = handshake.Plain
		io.WriteString(c.wire, c.inClear)
	}
	c.of.failures[slices.Index(handshake.Failures[:], kind)].Add(1)
	switch kind {
	case handshake.Left:
		return
	case handshake.Certificate, handshake.Panic:
		level = slog.LevelError
	}
	c.of.failed.Log(c.of.log, level, "a TLS handshake at the "+c.of.name+" port has failed",
		"client", c.RemoteAddr().String(), "reason", string(kind), "error", c.err.Error())
}

// speaksInClear tells whether what begins so is a request of HTTP or of the Redis protocol.
func speaksInClear(first byte) bool {
	return first >= 'A' && first <= 'Z' || first >= 'a' && first <= 'z' || first == '*'
}

// Read implements net.Conn.
func (c *SecureConn) Read(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn. One that a deadline has cut ends the connection: no record may follow.
func (c *SecureConn) Write(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close implements net.Conn. A client that takes nothing holds it up for farewellTime, for
// which crypto/tls has 5 s.
func (c *SecureConn) Close() error {
	c.wire.closing.Store(true)
	return c.Conn.Close()
}

// CloseWrite tells the client that nothing more will come.
func (c *SecureConn) CloseWrite() error {
	c.wire.closing.Store(true)
	return c.Conn.CloseWrite()
}

// farewellTime is how long close_notify may take.
const farewellTime = 100 * time.Millisecond

// wire is the connection under TLS.
type wire struct {
	net.Conn
	hello   handshake.Hello
	closing atomic.Bool
}

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if last := time.Now().Add(farewellTime); w.closing.Load() && t.After(last) {
		t = last
	}
	return w.Conn.SetWriteDeadline(t)
}
