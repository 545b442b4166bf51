package admin

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// patient is a connection that bears with a client which reads slowly: a Write fails once
// nothing of it has been taken for writeTimeout, or at the deadline that is set. So a deadline
// never cuts a write that goes on later, which TLS could not bear. Safe for concurrent use.
type patient struct {
	net.Conn
	mu    sync.Mutex // so that a deadline which is set has the last word
	until time.Time  // that deadline, zero for none
}

// Write implements net.Conn.
func (p *patient) Write(b []byte) (n int, err error) {
	for {
		p.mu.Lock()
		at := time.Now().Add(writeTimeout)
		if !p.until.IsZero() && p.until.Before(at) {
			at = p.until
		}
		p.Conn.SetWriteDeadline(at)
		p.mu.Unlock()
		m, err := p.Conn.Write(b[n:])
		if n += m; m == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// SetWriteDeadline implements net.Conn.
func (p *patient) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = t
	return p.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (p *patient) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// CloseWrite tells the client that nothing more will come, if the connection can.
func (p *patient) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
