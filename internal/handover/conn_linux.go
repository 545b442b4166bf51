package handover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// crowded is how long Send waits before it asks again whether there is room for descriptors
// on their way. The kernel has no event for that.
const crowded = time.Millisecond

// Pair returns two connected Unix stream sockets, closed on exec.
func Pair() (a, b int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return pair[0], pair[1], nil
}

func (c *Conn) close() error { return unix.Close(c.fd) }

// Interrupt ends the stream both ways, so that a Send or Receive that waits returns, here and
// at the other end. Safe for concurrent use, before Close.
func (c *Conn) Interrupt() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_RDWR))
}

// HearOut ends the stream towards this end: Receive returns what has been sent by now, and then
// io.EOF, and each later Send of the other end fails. The stream the other way goes on. So what
// a frame says is decided for good for both: it has come, or it never will. Safe for concurrent
// use, before Close.
func (c *Conn) HearOut() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_RD))
}

// HasEnded tells whether the other end is closed, by now: it cannot receive any more.
func (c *Conn) HasEnded() bool {
	ready := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(ready, 0)
	return err == nil && n > 0
}

// send is Send of one frame that is not too large.
func (c *Conn) send(kind Kind, payload []byte, fds []int) error {
	until := c.deadline()
	h := headerOf(kind, payload, len(fds))
	parts := [][]byte{h[:], payload}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for len(parts[0])+len(parts[1]) > 0 {
		n, err := unix.SendmsgBuffers(c.fd, parts, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			rights = nil // they went with the first byte
			first := min(n, len(parts[0]))
			parts[0], parts[1] = parts[0][first:], parts[1][n-first:]
		case unix.EINTR:
		case unix.EAGAIN:
			if err := c.wait(unix.POLLOUT, until); err != nil {
				return err
			}
		case unix.ETOOMANYREFS:
			if !until.IsZero() && !time.Now().Before(until) {
				return fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, os.NewSyscallError("sendmsg", err))
			}
			time.Sleep(crowded)
		default:
			return os.NewSyscallError("sendmsg", err)
		}
	}
	return nil
}

// receive is Receive.
func (c *Conn) receive() (Frame, error) {
	until := c.deadline()
	err := c.receiveHeader(until)
	if err == nil {
		err = c.receivePayload(until)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Frame{}, err // the rest may come yet
	}
	h, fds := c.coming.head, c.coming.fds
	c.coming = coming{}
	if err == nil && len(fds) != h.fds() {
		err = fmt.Errorf("%w: %s came with %d descriptors, want %d", ErrDamaged, h.kind(), len(fds), h.fds())
	}
	if err != nil {
		closeAll(fds)
		return Frame{}, err
	}
	return Frame{h.kind(), c.payload, fds}, nil
}

// receiveHeader reads a header into c.coming, and the descriptors that come with it.
func (c *Conn) receiveHeader(until time.Time) error {
	in := &c.coming
	if in.got == headerSize {
		return nil // it has come, and been checked
	}
	if c.rights == nil {
		c.rights = make([]byte, unix.CmsgSpace(4*MaxFDs))
	}
	for in.got < headerSize {
		n, rights, flags, _, err := unix.Recvmsg(c.fd, in.head[in.got:], c.rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			if err := c.wait(unix.POLLIN, until); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvmsg", err)
		}
		if rights > 0 {
			more, err := parseRights(c.rights[:rights])
			if in.fds = append(in.fds, more...); err != nil {
				return err
			}
		}
		if flags&unix.MSG_CTRUNC != 0 {
			return fmt.Errorf("%w: %d descriptors fitted", ErrTableFull, len(in.fds))
		}
		if n == 0 {
			return endOfStream(in.got)
		}
		in.got += n
	}
	return in.head.check()
}

// parseRights returns the descriptors of control messages. Their number follows from the
// length that stands in the message: the kernel returns a padded one.
func parseRights(control []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for i := range messages {
		some, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		fds = append(fds, some...)
	}
	return fds, nil
}

// receivePayload reads the payload of a frame into c.payload.
func (c *Conn) receivePayload(until time.Time) error {
	h, got := &c.coming.head, &c.coming.body
	length := h.length()
	if cap(c.payload) < length {
		c.payload = make([]byte, length)
	}
	c.payload = c.payload[:length]
	for *got < length {
		n, _, err := unix.Recvfrom(c.fd, c.payload[*got:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLIN, until); err != nil {
				return err
			}
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		case n == 0:
			return io.ErrUnexpectedEOF
		default:
			*got += n
		}
	}
	return h.checkPayload(c.payload)
}

// endOfStream is the error of an end after got bytes of a header.
func endOfStream(got int) error {
	if got == 0 {
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

// deadline returns that of an operation which begins now, zero for none.
func (c *Conn) deadline() time.Time {
	if timeout := time.Duration(c.timeout.Load()); timeout > 0 {
		return time.Now().Add(timeout)
	}
	return time.Time{}
}

// wait blocks the thread until the socket is ready for events, or has ended.
func (c *Conn) wait(events int16, until time.Time) error {
	for {
		timeout := -1
		if !until.IsZero() {
			timeout = int(max(0, time.Until(until)+time.Millisecond-1) / time.Millisecond)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: events}}, timeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
		if timeout == 0 { // what has come in time counts, however late this process is
			return os.ErrDeadlineExceeded
		}
	}
}

// closeAll closes descriptors that nobody has use for.
func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
