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
// never cuts a write that goes on later, which TLS could not bear. Reads and writes can be
// interrupted, and go on later. Safe for concurrent use.
type patient struct {
	net.Conn
	mu                sync.Mutex // so that a deadline which is set has the last word
	readUntil, until  time.Time  // those deadlines, zero for none
	noReads, noWrites bool       // interrupted
	woken             func()     // is told of an interruption, and of its end; nil: nobody is
}

// errInterrupted ends a read, a write or a wait that may go on later as if nothing had
// happened.
var errInterrupted error = interruption{}

// interruption is temporary to crypto/tls, which then reads on later.
type interruption struct{}

func (interruption) Error() string   { return "interrupted" }
func (interruption) Timeout() bool   { return true }
func (interruption) Temporary() bool { return true }

// past is a deadline that is over.
var past = time.Unix(1, 0)

// interrupt has reads, and writes too if they are to be, return errInterrupted, until it is
// called with neither.
func (p *patient) interrupt(reads, writes bool) {
	p.mu.Lock()
	p.noReads, p.noWrites = reads, writes
	p.Conn.SetReadDeadline(unless(reads, p.readUntil))
	p.Conn.SetWriteDeadline(unless(writes, p.until))
	woken := p.woken
	p.mu.Unlock()
	if woken != nil {
		woken()
	}
}

// unless returns a deadline that is over if it is to be, and else t.
func unless(over bool, t time.Time) time.Time {
	if over {
		return past
	}
	return t
}

// interrupted tells whether reads are interrupted, and whether writes are.
func (p *patient) interrupted() (reads, writes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noReads, p.noWrites
}

// deadline returns that of reads, zero for none.
func (p *patient) deadline() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readUntil
}

// onInterrupt has f called after interruptions and their ends.
func (p *patient) onInterrupt(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.woken = f
}

// Read implements net.Conn.
func (p *patient) Read(b []byte) (int, error) {
	for {
		n, err := p.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		p.mu.Lock()
		interrupted, due := p.noReads, !p.readUntil.IsZero() && !time.Now().Before(p.readUntil)
		p.mu.Unlock()
		switch {
		case due:
			return 0, err
		case interrupted:
			return 0, errInterrupted
		} // else the interruption is over
	}
}

// Write implements net.Conn.
func (p *patient) Write(b []byte) (n int, err error) {
	for {
		p.mu.Lock()
		if p.noWrites {
			p.mu.Unlock()
			return n, errInterrupted
		}
		at := time.Now().Add(writeTimeout)
		if !p.until.IsZero() && p.until.Before(at) {
			at = p.until
		}
		p.Conn.SetWriteDeadline(at)
		p.mu.Unlock()
		m, err := p.Conn.Write(b[n:])
		n += m
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case m == 0 && !time.Now().Before(at):
			return n, err
		} // else something was taken, or it was an interruption
	}
}

// SetReadDeadline implements net.Conn.
func (p *patient) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readUntil = t
	return p.Conn.SetReadDeadline(unless(p.noReads, t))
}

// SetWriteDeadline implements net.Conn.
func (p *patient) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = t
	return p.Conn.SetWriteDeadline(unless(p.noWrites, t))
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
