package crowd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/internal/eventstream"
)

const (
	slowSize   = 20 << 10 // bytes of an event
	slowBurst  = 60       // events at a time: more than sockets take, less than a channel keeps
	slowWindow = 16 << 10 // of the socket, which the system doubles; with 4 KiB the kernel gives some up after 30 s
	slowRead   = 2 << 10  // bytes that are read at a time
)

// slow is a reader that is behind: with the rest of an event that its socket had no room for.
// It reads a little, so that the connection is not given up.
type slow struct {
	order  *order
	seen   *seen
	secure bool
	conn   net.Conn
	hurry  atomic.Bool // it reads as fast as it can
}

// smallWindow has a socket receive little at a time. It has to be said before it connects.
func smallWindow(room int) func(string, string, syscall.RawConn) error {
	if room == 0 {
		return nil
	}
	return func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, room) })
		return err
	}
}

// kind is that of a stream over TLS where it is one: what may become of it is the same.
func (s *slow) kind() Kind {
	if s.secure {
		return KindTLS
	}
	return KindSlow
}

func (s *slow) begin(cfg *Config) (err error) {
	s.conn, err = dialStream(cfg, slowWindow, s.secure, s.order.channels())
	return err
}

// Read reads no faster than a slow reader does.
func (s *slow) Read(p []byte) (int, error) {
	if !s.hurry.Load() {
		time.Sleep(100 * time.Millisecond)
		p = p[:min(len(p), slowRead)]
	}
	return s.conn.Read(p)
}

func (s *slow) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	defer s.conn.Close()
	err := s.follow()
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errFault):
		s.seen.fault(s.kind(), fmt.Errorf("a slow reader: %w", err))
	default:
		s.seen.end(s.kind(), fmt.Errorf("a slow reader: %w", err))
		s.order.forget()
	}
}

func (s *slow) follow() error {
	r := bufio.NewReaderSize(s, slowRead)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %s", errFault, response.Status)
	}
	events := eventstream.Reader{Strict: true}
	events.Reset(bufio.NewReaderSize(response.Body, slowRead))
	for {
		e, err := events.Next()
		if errors.Is(err, eventstream.ErrStrict) || err == nil && e.Type == "millrace.gap" {
			return fmt.Errorf("%w: %s %v", errFault, e.Data, err)
		}
		if err == io.EOF {
			return errors.New("the stream ended")
		}
		if err != nil {
			return err
		}
		if e.Empty || e.Type != "" {
			continue
		}
		if _, err := s.order.take(e.Data); err != nil {
			return fmt.Errorf("%w: %w", errFault, err)
		}
	}
}
