package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/netpoll"
)

// connectMore opens streams until there are enough under way.
func (c *client) connectMore() {
	for c.connecting < c.cfg.Connecting && c.next < c.cfg.Streams && c.report.Ended == 0 {
		c.connect(min(c.cfg.PerConnection, c.cfg.Streams-c.next))
	}
}

// connect begins to open the next connection, with so many streams.
func (c *client) connect(streams int) {
	number := c.next
	c.next += c.cfg.Loops * c.cfg.PerConnection
	source := c.cfg.Source + number/sourcePorts
	if !c.cfg.loopback {
		source = -1
	}
	fd, err := netpoll.Connect(c.cfg.Addr, source)
	if err != nil {
		c.ended(number, streams, err)
		return
	}
	if missing := int(fd) + 1 - len(c.conns); missing > 0 {
		c.conns = append(c.conns, make([]conn, missing)...)
		c.streams = append(c.streams, make([]stream, missing*c.cfg.PerConnection)...)
	}
	c.conns[fd] = conn{number: int32(number), since: c.millis(Now()), streams: uint8(streams), phase: phaseConnect}
	due := c.cfg.FirstEvent + uint64(len(c.report.Arrivals))
	for i := range c.streamsOf(fd) {
		c.streamsOf(fd)[i] = stream{checker: checker{due: due}}
	}
	c.connecting += streams
	if err := c.poller.WatchBoth(fd); err != nil {
		c.end(fd, err)
	}
}

// streamsOf returns the streams of a connection, until the next one is opened.
func (c *client) streamsOf(fd int32) []stream {
	return c.streams[int(fd)*c.cfg.PerConnection:][:c.conns[fd].streams]
}

// connected goes on with a connection that is open, or has failed, or neither: the system tells.
func (c *client) connected(fd int32) {
	if c.secure == nil {
		c.ask(fd)
		return
	}
	if netpoll.PeerOf(fd) == (netpoll.Peer{}) {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			c.end(fd, fmt.Errorf("connecting: %w", err))
		}
		return
	}
	if err := c.poller.UnwatchWrites(fd); err != nil {
		c.end(fd, err)
		return
	}
	c.conns[fd].phase = phaseHandshake
	c.secure.begin(fd)
}

// shaken goes on with a connection whose handshake is over.
func (c *client) shaken(fd int32, protocol string, plain []byte, err error) {
	c.now = Now()
	if c.frames != nil && protocol != "h2" && err == nil {
		err = fmt.Errorf("%w: HTTP/2 was not agreed upon, but %q", ErrRefused, protocol)
	}
	if err != nil {
		c.end(fd, err)
		return
	}
	request := c.request
	if c.frames != nil {
		request = c.frames.begin(fd, int(c.conns[fd].streams), c.cfg.PerConnection)
	}
	if err := c.secure.write(fd, request); err != nil {
		c.end(fd, fmt.Errorf("sending the request: %w", err))
		return
	}
	c.conns[fd].phase = phaseOpen
	c.take(fd, plain, nil)
}

// ask sends the request of a connection in the clear.
func (c *client) ask(fd int32) {
	err := writeWhole(fd, c.request) // of which a new socket takes all
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err == nil {
		err = c.poller.UnwatchWrites(fd)
	}
	if err != nil {
		c.end(fd, fmt.Errorf("sending the request: %w", err))
		return
	}
	c.conns[fd].phase = phaseOpen
}

// churn begins to replace streams.
func (c *client) churn(until time.Duration, done chan<- error) {
	c.churnUntil = until
	c.replaceMore()
	c.await(goal{event: -1, done: done})
}

// replaceMore replaces streams until enough are under way, or the time is over.
func (c *client) replaceMore() {
	for c.connecting < min(c.cfg.Connecting, c.live) && c.report.Ended == 0 {
		if Now() >= c.churnUntil {
			c.churnUntil = 0
			return
		}
		fd := c.oldestConn()
		streams := len(c.streamsOf(fd))
		c.drop(fd)
		c.report.Replaced += streams
		c.connect(streams)
	}
}

// oldestConn returns the next connection by descriptor that has an open stream: a new one takes
// the number of one that was closed, so that its turn comes last.
func (c *client) oldestConn() int32 {
	for {
		c.oldest = (c.oldest + 1) % int32(len(c.conns))
		if c.conns[c.oldest].phase == phaseOpen && slices.ContainsFunc(c.streamsOf(c.oldest), func(s stream) bool { return s.answered }) {
			return c.oldest
		}
	}
}

// drop closes a connection, whatever its streams are at.
func (c *client) drop(fd int32) {
	for _, s := range c.streamsOf(fd) {
		if s.answered {
			c.live--
			c.opened.Add(-1)
		} else {
			c.connecting--
		}
	}
	c.heads.forget(fd)
	if c.frames != nil {
		c.frames.forget(fd)
	}
	if c.secure != nil {
		c.secure.forget(fd)
	}
	c.conns[fd].phase = phaseFree
	unix.Close(int(fd))
}

// end drops a connection and keeps the reason.
func (c *client) end(fd int32, err error) {
	number, streams := int(c.conns[fd].number), len(c.streamsOf(fd))
	c.drop(fd)
	c.ended(number, streams, err)
}

// ended counts streams, from a number on, that have ended.
func (c *client) ended(number, streams int, err error) {
	if c.cfg.MayEnd && (errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)) {
		c.report.Cut += streams
		c.settle(nil)
		return
	}
	c.report.Ended += streams
	if len(c.report.Errors) < maxErrors {
		c.report.Errors = append(c.report.Errors, fmt.Sprintf("stream %d: %v", number, err))
	}
	c.settle(nil)
}
