package bench

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"millrace/internal/handshake"
	"millrace/internal/netpoll"
	"millrace/internal/tlsrecord"
)

// secure is the TLS of one event loop, a client's or a server's: crypto/tls makes the
// handshakes, and of an open connection there is a record state of 160 bytes without
// pointers. All of it belongs to the loop.
type secure struct {
	poller netpoll.Poller
	start  func(id int32, notify func(*handshake.Conn)) *handshake.Conn
	// over is called when a handshake is: with what ALPN has agreed upon, and with the
	// plain text that has come already.
	over func(fd int32, protocol string, plain []byte, err error)

	states []tlsrecord.State // by descriptor
	shakes map[int32]*handshake.Conn
	rests  map[int32][]byte // the beginnings of records, by descriptor
	out    []byte
}

func newSecure(poller netpoll.Poller, start func(int32, func(*handshake.Conn)) *handshake.Conn) *secure {
	return &secure{poller: poller, start: start, shakes: make(map[int32]*handshake.Conn), rests: make(map[int32][]byte)}
}

// begin begins the handshake of a connection.
func (s *secure) begin(fd int32) {
	if missing := int(fd) + 1 - len(s.states); missing > 0 {
		s.states = append(s.states, make([]tlsrecord.State, missing)...)
	}
	s.shakes[fd] = s.start(fd, func(h *handshake.Conn) {
		s.poller.Do(func() { s.advance(h) }) // an error says that the loop has ended
	})
}

// advance does what a handshake wants done.
func (s *secure) advance(h *handshake.Conn) {
	fd := h.ID
	if s.shakes[fd] != h {
		return // the connection has ended meanwhile
	}
	unsent := h.Unsent()
	err := writeWhole(fd, unsent)
	h.Sent(len(unsent))
	over, failed := h.Result()
	if failed != nil {
		err = failed
	}
	if !over && err == nil {
		return
	}
	var protocol string
	var plain []byte
	if err == nil {
		protocol = h.Protocol()
		plain, err = s.open(fd, h.Take(&s.states[fd]))
	}
	s.drop(fd)
	if err != nil {
		err = fmt.Errorf("TLS handshake: %w", err)
	}
	s.over(fd, protocol, plain, err)
}

// take takes in what has come. It returns the plain text, which is valid until the next call,
// and why nothing more will come, if that is so.
func (s *secure) take(fd int32, p []byte) (plain []byte, err error) {
	if h := s.shakes[fd]; h != nil {
		if !h.Feed(p) {
			return nil, errors.New("TLS handshake: too much comes after it")
		}
		return nil, nil
	}
	return s.open(fd, p)
}

// open opens the records of a connection whose handshake is over.
func (s *secure) open(fd int32, p []byte) (plain []byte, err error) {
	if rest := s.rests[fd]; rest != nil {
		delete(s.rests, fd)
		p = append(rest, p...)
	}
	state := &s.states[fd]
	plain, used, err := state.Take(p)
	if used < len(p) && err == nil {
		s.rests[fd] = append([]byte(nil), p[used:]...)
	}
	if state.Owes() && err == nil {
		s.out = state.AppendOwed(s.out[:0])
		err = writeWhole(fd, s.out)
	}
	return plain, err
}

// write seals p, which one record has room for, and sends it.
func (s *secure) write(fd int32, p []byte) error {
	s.out = s.states[fd].AppendData(s.out[:0], p)
	return writeWhole(fd, s.out)
}

// forget drops all that is known of a connection.
func (s *secure) forget(fd int32) {
	s.drop(fd)
	delete(s.rests, fd)
	if int(fd) < len(s.states) {
		s.states[fd].Clear()
	}
}

// drop gives a handshake up that is under way or over.
func (s *secure) drop(fd int32) {
	if h := s.shakes[fd]; h != nil {
		h.Close()
		delete(s.shakes, fd)
	}
}

// close gives up the handshakes under way.
func (s *secure) close() {
	for fd := range s.shakes {
		s.drop(fd)
	}
}

// writeWhole sends a few bytes, for which a socket that nobody has written much to has room.
func writeWhole(fd int32, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := unix.Write(int(fd), p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
