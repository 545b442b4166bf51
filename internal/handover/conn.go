package handover

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// defaultTimeout bounds a step of an upgrade, unless it is known to take longer.
const defaultTimeout = 5 * time.Second

// Conn carries frames over a Unix stream socket. It uses nothing of the runtime's poller, so
// it works on a thread with a descriptor table of its own ([millrace/internal/fdtable]); it
// then has to be used on that thread alone.
//
// A payload may be key material, so a connection keeps none: it clears its buffer at the next
// Receive, and at Close.
//
// Send is safe for concurrent use, and so are Send beside one Receive, SetTimeout, Interrupt and
// HearOut. Send and Receive fail for good once they have failed, but that after an overrun
// Receive may be called again.
type Conn struct {
	fd      int
	timeout atomic.Int64 // of one Send or Receive, in ns; 0 for none

	sending sync.Mutex
	unsent  error // the first failure of Send

	coming     coming
	payload    []byte // of the newest frame received
	rights     []byte // as they come from the kernel
	unreceived error  // the first failure of Receive
}

// coming is what has come so far of the next frame.
type coming struct {
	head      header
	got, body int // bytes of the header, and of the payload
	fds       []int
}

// NewConn returns a connection over a connected Unix stream socket, which it owns from then
// on.
func NewConn(fd int) *Conn {
	c := &Conn{fd: fd}
	c.SetTimeout(defaultTimeout)
	return c
}

// FD returns the descriptor, for a poller.
func (c *Conn) FD() int { return c.fd }

// SetTimeout bounds each later Send and Receive; 0 or less is no bound. An overrun is an
// os.ErrDeadlineExceeded. At first it is 5 seconds.
func (c *Conn) SetTimeout(d time.Duration) { c.timeout.Store(int64(max(d, 0))) }

// Send writes a frame. The descriptors stay the sender's, who may close them afterwards. The
// payload is not needed after Send.
//
// A user without privileges has only so many descriptors on their way at once (RLIMIT_NOFILE
// of them). Send waits until the receiver has taken some, for at most the timeout.
func (c *Conn) Send(kind Kind, payload []byte, fds ...int) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.unsent != nil {
		return c.unsent
	}
	switch {
	case len(payload) > MaxPayload: // nothing has been written: the connection is as good as before
		return fmt.Errorf("send %s: a payload of %d bytes, want at most %d", kind, len(payload), MaxPayload)
	case len(fds) > MaxFDs:
		return fmt.Errorf("send %s: %d descriptors, want at most %d", kind, len(fds), MaxFDs)
	}
	if err := c.send(kind, payload, fds); err != nil {
		c.unsent = fmt.Errorf("send %s: %w", kind, err)
	}
	return c.unsent
}

// Receive waits for the next frame. An end of the stream between two frames is io.EOF. It
// tells only that the other process has closed its end, not that it is dead. After an overrun
// nothing that has come is lost: the next Receive goes on with it.
func (c *Conn) Receive() (Frame, error) {
	if c.unreceived != nil {
		return Frame{}, c.unreceived
	}
	if c.coming.got == 0 {
		clear(c.payload)
	}
	frame, err := c.receive()
	switch {
	case err == nil:
		return frame, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Frame{}, fmt.Errorf("receive: %w", err)
	}
	c.unreceived = fmt.Errorf("receive: %w", err)
	return Frame{}, c.unreceived
}

// Close closes the socket; Send fails from then on. No Receive may be under way: see Interrupt.
func (c *Conn) Close() error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.unsent = os.ErrClosed
	clear(c.payload)
	closeAll(c.coming.fds)
	c.coming = coming{}
	return c.close()
}

// Expect receives a frame and returns an error if it is of another kind: the text of a
// Refusal if it is one. The descriptors of such a frame are closed.
func (c *Conn) Expect(kind Kind) (Frame, error) {
	frame, err := c.Receive()
	if err != nil || frame.Kind == kind {
		return frame, err
	}
	frame.Drop()
	if frame.Kind == KindRefuse {
		var refusal Refusal
		if err := Decode(Oldest, frame.Payload, &refusal); err != nil {
			return Frame{}, fmt.Errorf("receive %s: %w", frame.Kind, err)
		}
		return Frame{}, &refusal
	}
	return Frame{}, fmt.Errorf("receive: got %s, want %s", frame.Kind, kind)
}
