package bench

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/netpoll"
)

// stream is the client's state of one connection. It has no pointers, so that
// a million of them cost the garbage collector nothing.
type stream struct {
	checker
	chunks
	number int32  // among all streams
	since  uint32 // when it began to connect, or its last ping came; in milliseconds since client.zero
	phase  phase
}

// phase tells what a stream is waiting for.
type phase uint8

const (
	phaseFree    phase = iota
	phaseConnect       // the connection
	phaseHead          // the response head
	phaseBody
)

const (
	readSize = 64 << 10 // bytes read at once
	// maxEvents bounds how many events have their arrival times kept.
	maxEvents = 1 << 20
	// awake is the longest time between two descriptors being served in which a
	// loop was not asleep.
	awake = 100 * time.Microsecond
	// maxPingBuckets bounds the histogram of pings: the last bucket counts
	// all that comes later. Some nine hours.
	maxPingBuckets = 1 << 17
)

// client is one event loop with its share of the streams. All of it belongs to
// the goroutine in run.
type client struct {
	cfg    *Config
	poller netpoll.Poller
	zero   time.Duration
	now    time.Duration

	table   []stream // by descriptor
	heads   heads
	request []byte
	buf     []byte

	next       int           // number of the stream to connect next
	connecting int           // streams that have no response head yet
	live       int           // streams that have
	opened     atomic.Int64  // live, for anybody
	published  time.Duration // of what arrives, 0 for unknown
	churnUntil time.Duration // streams are being replaced, 0 for not
	oldest     int32         // descriptor that the next one to be replaced is looked for from
	goals      []goal
	report     Report
}

// goal is something that somebody waits for: all streams open and nothing more
// to be replaced, or an event on all of them.
type goal struct {
	event int // index in Report.Arrivals; -1 for open
	done  chan<- error
}

// newClient returns a client for each cfg.Loops-th stream from number on.
func newClient(cfg *Config, number int, since time.Duration) (*client, error) {
	c := &client{
		cfg:     cfg,
		zero:    since,
		next:    number,
		heads:   heads{partial: make(map[int32][]byte)},
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", cfg.Target, cfg.Addr),
		buf:     make([]byte, readSize),
		report:  Report{PingsSince: since, Connects: NewHistogram(), Latency: NewHistogram(), PingsOff: NewHistogram()},
	}
	var err error
	c.poller, err = netpoll.OpenPoller()
	return c, err
}

// run serves the streams until the poller is told to stop, and closes them.
func (c *client) run() {
	if err := c.poller.Run(c.on); err != nil {
		panic(err) // the poller was misused
	}
	for fd := range c.table {
		if c.table[fd].phase != phaseFree {
			unix.Close(fd)
		}
	}
	c.settle(ErrClosed)
}

// open begins to open the client's streams.
func (c *client) open(done chan<- error) {
	c.report.Began = Now()
	c.connectMore()
	c.await(goal{event: -1, done: done})
}

func (c *client) awaitEvent(event uint64, done chan<- error) {
	if event < c.cfg.FirstEvent || event-c.cfg.FirstEvent >= maxEvents {
		done <- fmt.Errorf("%w: event %d, want %d and less than %d more", ErrConfig, event, c.cfg.FirstEvent, maxEvents)
		return
	}
	c.await(goal{event: int(event - c.cfg.FirstEvent), done: done})
}

func (c *client) await(g goal) {
	c.goals = append(c.goals, g)
	c.settle(nil)
}

// settle answers those whose goals are reached, or can no longer be: a stream
// has ended, or err says why.
func (c *client) settle(err error) {
	if err == nil && c.report.Ended > 0 {
		err = ErrEnded
	}
	waiting := c.goals[:0]
	for _, g := range c.goals {
		if err != nil || c.reached(g.event) {
			g.done <- err
		} else {
			waiting = append(waiting, g)
		}
	}
	c.goals = waiting
}

func (c *client) reached(event int) bool {
	if c.connecting > 0 || c.next < c.cfg.Streams || c.churnUntil > 0 {
		return false
	}
	return event < 0 || c.live == 0 || event < len(c.report.Arrivals) && c.report.Arrivals[event].Streams == c.live
}

// connectMore opens streams until there are enough under way.
func (c *client) connectMore() {
	for c.connecting < c.cfg.Connecting && c.next < c.cfg.Streams && c.report.Ended == 0 {
		number := c.next
		c.next += c.cfg.Loops
		if err := c.connect(number); err != nil {
			c.ended(number, err)
		}
	}
}

func (c *client) connect(number int) error {
	source := c.cfg.Source + number/sourcePorts
	if !c.cfg.loopback {
		source = -1
	}
	fd, err := netpoll.Connect(c.cfg.Addr, source)
	if err != nil {
		return err
	}
	if missing := int(fd) + 1 - len(c.table); missing > 0 {
		c.table = append(c.table, make([]stream, missing)...)
	}
	due := c.cfg.FirstEvent + uint64(len(c.report.Arrivals))
	c.table[fd] = stream{checker: checker{due: due}, number: int32(number), since: c.millis(Now()), phase: phaseConnect}
	c.connecting++
	if err := c.poller.WatchBoth(fd); err != nil {
		c.end(fd, err)
	}
	return nil
}

// on serves one ready descriptor. The event may be stale, its descriptor closed
// and taken anew since: a hint only, the calls tell.
func (c *client) on(fd int32, readable, _ bool) (stop bool) {
	last := c.now
	c.now = Now()
	if c.cfg.Gather > 0 && c.now-last > awake && c.connecting == 0 {
		time.Sleep(c.cfg.Gather)
		c.now = Now()
	}
	s := &c.table[fd]
	switch {
	case s.phase == phaseConnect: // open, or failed: the write tells
		c.ask(fd, s)
	case s.phase > phaseConnect && readable:
		c.receive(fd, s)
	}
	return false
}

// ask sends the request of a stream that is connected.
func (c *client) ask(fd int32, s *stream) {
	n, err := unix.Write(int(fd), c.request)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err == nil && n < len(c.request): // a new socket takes a request whole
		err = io.ErrShortWrite
	case err == nil:
		err = c.poller.UnwatchWrites(fd)
	}
	if err != nil {
		c.end(fd, fmt.Errorf("sending the request: %w", err))
		return
	}
	s.phase = phaseHead
}

// receive takes in the bytes that have come.
func (c *client) receive(fd int32, s *stream) {
	n, err := unix.Read(int(fd), c.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		c.end(fd, err)
		return
	case n == 0:
		c.end(fd, fmt.Errorf("closed by the server: %w", io.EOF))
		return
	}
	c.report.Bytes += uint64(n)
	p := c.buf[:n]
	if s.phase == phaseHead {
		var whole, chunked bool
		if p, whole, chunked, err = c.heads.take(fd, p); err != nil {
			c.end(fd, err)
			return
		}
		if !whole {
			return
		}
		if chunked {
			s.chunks.part = chunkSize
		}
		number := s.number
		c.answered(s)
		s = &c.table[fd] // the table may have grown
		if s.phase != phaseBody || s.number != number {
			return // a churn has replaced this very stream: what it got is nobody's
		}
	}
	for len(p) > 0 && err == nil {
		var body []byte
		if body, p, err = s.chunks.next(p); err == nil {
			err = c.check(s, body)
		}
	}
	if err != nil {
		c.end(fd, err)
	}
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

// answered counts a stream that has its response head.
func (c *client) answered(s *stream) {
	s.phase = phaseBody
	c.report.Connects.Record(time.Duration(c.millis(c.now)-s.since) * time.Millisecond)
	s.since = 0
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
}

// millis is a moment as a stream has it; never 0.
func (c *client) millis(now time.Duration) uint32 {
	return uint32((now-c.zero)/time.Millisecond) + 1
}

// expect sets the time at which the next event was published.
func (c *client) expect(published time.Duration) {
	c.published = published
	c.report.Latency.Reset()
}

// timePings forgets how pings have come so far.
func (c *client) timePings() {
	c.report.PingsOff.Reset()
	for fd := range c.table {
		c.table[fd].since = 0
	}
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
		fd := c.oldestStream()
		unix.Close(int(fd))
		c.table[fd].phase = phaseFree
		c.live--
		c.opened.Add(-1)
		c.report.Replaced++
		number := c.next
		c.next += c.cfg.Loops
		if err := c.connect(number); err != nil {
			c.ended(number, err)
		}
	}
}

// oldestStream returns the next open stream by descriptor: a new one takes the
// number of one that was closed, so that its turn comes last.
func (c *client) oldestStream() int32 {
	for {
		c.oldest = (c.oldest + 1) % int32(len(c.table))
		if c.table[c.oldest].phase == phaseBody {
			return c.oldest
		}
	}
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

// end closes a stream and keeps the reason.
func (c *client) end(fd int32, err error) {
	s := &c.table[fd]
	if s.phase == phaseBody {
		c.live--
		c.opened.Add(-1)
	} else {
		c.connecting--
	}
	c.heads.forget(fd)
	s.phase = phaseFree
	unix.Close(int(fd))
	c.ended(int(s.number), err)
}

func (c *client) ended(number int, err error) {
	c.report.Ended++
	if len(c.report.Errors) < maxErrors {
		c.report.Errors = append(c.report.Errors, fmt.Sprintf("stream %d: %v", number, err))
	}
	c.settle(nil)
}

// snapshot returns a copy of the client's report.
func (c *client) snapshot() Report {
	r := c.report
	r.Open = c.live
	r.Errors = slices.Clone(r.Errors)
	r.Arrivals = slices.Clone(r.Arrivals)
	r.PingTimes = slices.Clone(r.PingTimes)
	r.Connects, r.Latency, r.PingsOff = r.Connects.Clone(), r.Latency.Clone(), r.PingsOff.Clone()
	return r
}
