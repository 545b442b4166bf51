package ops

import (
	"context"
	"net"

	"millrace/internal/handover"
)

// New returns a server of the connections that ln accepts, which it owns.
func New(ln net.Listener, cfg Config) (*Server, error) { return newServer(ln, cfg), nil }

// Descriptor returns that of the listener, which stays the server's.
func (s *Server) Descriptor() (fd int, err error) {
	return s.places.Listener.(interface{ Descriptor() (int, error) }).Descriptor()
}

// Release has requests end, until Resume or Close is called.
func (s *Server) Release(context.Context) error { return nil }

// Resume undoes Release.
func (s *Server) Resume() {}

// HandOver sends what the port has to the successor, which Adopt takes.
func (s *Server) HandOver(version int, send func(kind handover.Kind, payload []byte, fds ...int) error) error {
	return handover.SendLong(version, &handover.Ops{}, handover.KindOps, nil, send)
}

// Adopt takes a frame of HandOver: true with the last.
func (s *Server) Adopt(int, handover.Frame) (complete bool, err error) { return true, nil }
