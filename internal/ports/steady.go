package ports

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"millrace/internal/throttle"
)

// Steady is a listener that goes on when accepting fails, after a pause. Its methods are
// safe for concurrent use, but for Accept, which one goroutine calls.
type Steady struct {
	net.Listener
	name   string // of the port, for people
	log    *slog.Logger
	line   throttle.Line
	pauses Pauses
	woken  chan struct{} // has an element when a pause is to end
	closed chan struct{}
	close  sync.Once
}

// NewSteady returns ln as a listener of the port of that name, which logs to log why
// it pauses.
func NewSteady(ln net.Listener, name string, log *slog.Logger) *Steady {
	return &Steady{Listener: ln, name: name, log: log, woken: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Accept implements net.Listener. Its errors are net.ErrClosed, after Close or when
// somebody else has closed the listener, and that of SetDeadline.
func (s *Steady) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err == nil {
			s.pauses.Accepted()
			return conn, nil
		}
		if errors.Is(err, net.ErrClosed) || s.isClosed() {
			return nil, net.ErrClosed
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		pause := s.pauses.After(err)
		if pause == 0 {
			continue
		}
		s.line.Log(s.log, slog.LevelError, "the "+s.name+" port cannot accept", "error", err, "again_after", pause.String())
		select {
		case <-s.closed:
			return nil, net.ErrClosed
		case <-s.woken:
		case <-time.After(pause):
		}
	}
}

func (s *Steady) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Close closes the listener, and ends a pause.
func (s *Steady) Close() error {
	s.close.Do(func() { close(s.closed) })
	return s.Listener.Close()
}

// Descriptor is that of the listener within, see the function.
func (s *Steady) Descriptor() (fd int, err error) { return Descriptor(s.Listener) }

// SetDeadline has Accept fail at a time, with os.ErrDeadlineExceeded, as that of a TCP listener
// does; never if t is zero. Other listeners have none.
func (s *Steady) SetDeadline(t time.Time) error {
	if ln, ok := s.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		err := ln.SetDeadline(t)
		select {
		case s.woken <- struct{}{}:
		default:
		}
		return err
	}
	return errors.ErrUnsupported
}
