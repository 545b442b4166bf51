package admin

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// socket writes to a connection without waiting for the client. Owned by the
// goroutine of the connection.
type socket struct {
	raw   syscall.RawConn // nil: the connection is none of the kernel's, and takes nothing at once
	state *attempt
	try   func(fd uintptr) bool // made once: a closure a write would be garbage
}

// attempt is one write.
type attempt struct {
	p   []byte
	n   int
	err error
}

func newSocket(nc net.Conn) socket {
	conn, ok := nc.(syscall.Conn)
	if !ok {
		return socket{}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return socket{}
	}
	a := new(attempt)
	return socket{raw, a, func(fd uintptr) bool {
		for {
			if a.n, a.err = syscall.Write(int(fd), a.p); a.err != syscall.EINTR {
				return true
			}
		}
	}}
}

// write returns how much of p the socket has taken.
func (s socket) write(p []byte) (n int, err error) {
	if s.raw == nil {
		return 0, nil
	}
	s.state.p = p
	defer func() { s.state.p = nil }()
	err = s.raw.Write(s.try)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // see patient.interrupt
		return 0, nil
	case err != nil:
		return 0, err
	case s.state.err == syscall.EAGAIN:
		return 0, nil
	case s.state.err != nil:
		return 0, s.state.err
	}
	return s.state.n, nil
}
