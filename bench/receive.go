package bench

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// receive takes in the bytes that have come.
func (c *client) receive(fd int32) {
	n, err := unix.Read(int(fd), c.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		c.end(fd, err)
		return
	case n == 0:
		c.end(fd, errClosedByServer)
		return
	}
	c.report.Bytes += uint64(n)
	plain, err := c.buf[:n], error(nil)
	if c.secure != nil {
		plain, err = c.secure.take(fd, plain)
		if err == io.EOF {
			err = errClosedByServer
		}
	}
	c.take(fd, plain, err)
}

var errClosedByServer = fmt.Errorf("closed by the server: %w", io.EOF)

// take takes in plain text of a connection; ended says why there will be no more, if so.
func (c *client) take(fd int32, p []byte, ended error) {
	number := c.conns[fd].number
	var err error
	switch {
	case len(p) == 0:
	case c.frames != nil:
		err = c.takeFrames(fd, p)
	default:
		err = c.takeText(fd, p)
	}
	if err == nil {
		err = ended
	}
	if err != nil && c.isStill(fd, number) {
		c.end(fd, err)
	}
}

// isStill tells whether a connection is that with a number still: a churn may have replaced it
// by another one with its descriptor.
func (c *client) isStill(fd, number int32) bool {
	return c.conns[fd].phase != phaseFree && c.conns[fd].number == number
}

// takeText takes in text of HTTP/1.1.
func (c *client) takeText(fd int32, p []byte) (err error) {
	if s := &c.streams[fd]; !s.answered {
		var whole, chunked bool
		if p, whole, chunked, err = c.heads.take(fd, p); err != nil || !whole {
			return err
		}
		if chunked {
			s.chunks.part = chunkSize
		}
		if c.coded != nil {
			c.coded.begin(fd)
		}
		if !c.answered(fd, s) {
			return nil // what it got is nobody's
		}
	}
	s := &c.streams[fd] // the table may have grown
	for len(p) > 0 && err == nil {
		var body []byte
		if body, p, err = s.chunks.next(p); err == nil && c.coded != nil {
			body, err = c.coded.take(fd, body)
		}
		if err == nil {
			err = c.check(s, body)
		}
	}
	return err
}

// check takes in a piece of a stream's body.
func (c *client) check(s *stream, p []byte) error {
	for len(p) > 0 {
		n, got, err := s.checker.next(p, c.cfg.PayloadSize)
		if err != nil {
			return err
		}
		p = p[n:]
		switch got {
		case tokenEvent:
			c.arrived(int(s.due - 1 - c.cfg.FirstEvent))
		case tokenPing:
			c.pinged(s)
		}
	}
	return nil
}

// answered counts a stream that has its response head. It returns false if the connection is
// gone, as a churn has replaced it at once.
func (c *client) answered(fd int32, s *stream) (still bool) {
	number := c.conns[fd].number
	s.answered = true
	c.report.Connects.Record(time.Duration(c.millis(c.now)-c.conns[fd].since) * time.Millisecond)
	c.connecting--
	c.live++
	c.opened.Add(1)
	c.report.Answered = c.now
	if c.churnUntil > 0 {
		c.replaceMore()
	} else {
		c.connectMore()
	}
	if c.connecting == 0 {
		c.settle(nil)
	}
	return c.isStill(fd, number)
}

// arrived counts an event, by its index in the arrivals.
func (c *client) arrived(event int) {
	c.report.Events++
	if c.published > 0 {
		c.report.Latency.Record(c.now - c.published)
	}
	if event >= maxEvents {
		return
	}
	if event == len(c.report.Arrivals) {
		c.report.Arrivals = append(c.report.Arrivals, Arrival{First: c.now})
	}
	a := &c.report.Arrivals[event]
	a.Streams++
	a.Last = c.now
	if a.Streams == c.live {
		c.settle(nil)
	}
}

func (c *client) pinged(s *stream) {
	c.report.Pings++
	now := c.millis(c.now)
	if period := uint32(c.cfg.PingPeriod / time.Millisecond); period > 0 && s.since > 0 {
		off := (now - s.since) % period
		c.report.PingsOff.Record(time.Duration(min(off, period-off)) * time.Millisecond)
	}
	s.since = now
	bucket := min(int((c.now-c.report.PingsSince)/PingBucket), maxPingBuckets-1)
	for len(c.report.PingTimes) <= bucket {
		c.report.PingTimes = append(c.report.PingTimes, 0)
	}
	c.report.PingTimes[bucket]++
}
