package bench

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/handshake"
	"millrace/internal/netpoll"
)

// conn is the client's state of one connection. Neither it nor a stream has pointers, so that
// a million of them cost the garbage collector nothing.
type conn struct {
	number  int32  // of its first stream, among all
	since   uint32 // when it began to connect, in milliseconds since client.zero
	streams uint8
	phase   phase
}

// phase tells how far a connection is.
type phase uint8

const (
	phaseFree      phase = iota
	phaseConnect         // it waits to be open
	phaseHandshake       // that of TLS is under way
	phaseOpen            // the requests are sent
)

// stream is the client's state of one stream.
type stream struct {
	checker
	chunks
	since    uint32 // when its last ping came, in milliseconds since client.zero
	taken    uint32 // bytes of its window of HTTP/2 that have not been given back
	answered bool   // its response head has come
}

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

	conns   []conn    // by descriptor
	streams []stream  // by descriptor, as many each as a connection may have
	secure  *secure   // nil in the clear
	frames  *frames   // of HTTP/2, else nil
	coded   *inflater // with Gzip, else nil
	heads   heads
	request []byte // of one stream of HTTP/1.1
	buf     []byte

	next       int           // number of the stream to connect next
	connecting int           // streams that have no response head yet
	live       int           // streams that have
	opened     atomic.Int64  // live, for anybody
	published  time.Duration // of what arrives, 0 for unknown
	churnUntil time.Duration // streams are being replaced, 0 for not
	oldest     int32         // descriptor that the next connection to be replaced is looked for from
	goals      []goal
	report     Report
}

// goal is something that somebody waits for: all streams open and nothing more
// to be replaced, or an event on all of them.
type goal struct {
	event int // index in Report.Arrivals; -1 for open
	done  chan<- error
}

// newClient returns a client for each cfg.Loops-th connection, from number on, whose
// handshakes, if any, are made by makes.
func newClient(cfg *Config, number int, since time.Duration, makes *handshake.Client) (*client, error) {
	c := &client{
		cfg:     cfg,
		zero:    since,
		next:    number * cfg.PerConnection,
		heads:   heads{partial: make(map[int32][]byte)},
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", cfg.Target, cfg.Host),
		buf:     make([]byte, readSize),
		report:  Report{PingsSince: since, Connects: NewHistogram(), Latency: NewHistogram(), PingsOff: NewHistogram()},
	}
	var err error
	if c.poller, err = netpoll.OpenPoller(); err != nil {
		return nil, err
	}
	if makes != nil {
		c.secure = newSecure(c.poller, makes.Start)
		c.secure.over = c.shaken
	}
	if cfg.Protocol == Gzip {
		c.coded = newInflater(cfg.OwnWindows)
		c.request = append(c.request[:len(c.request)-len("\r\n")], "Accept-Encoding: gzip\r\n\r\n"...)
	}
	if cfg.Protocol == H2 {
		c.frames = newFrames(cfg.Target, cfg.Host, cfg.PerConnection)
	}
	return c, nil
}

// run serves the streams until the poller is told to stop, and closes them.
func (c *client) run() {
	if err := c.poller.Run(c.on); err != nil {
		panic(err) // the poller was misused
	}
	for fd := range c.conns {
		if c.conns[fd].phase != phaseFree {
			unix.Close(fd)
		}
	}
	if c.secure != nil {
		c.secure.close()
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

// on serves one ready descriptor. The event may be stale, its descriptor closed
// and taken anew since: a hint only, the calls tell.
func (c *client) on(fd int32, readable, _ bool) (stop bool) {
	last := c.now
	c.now = Now()
	if c.cfg.Gather > 0 && c.now-last > awake && c.connecting == 0 {
		time.Sleep(c.cfg.Gather)
		c.now = Now()
	}
	switch phase := c.conns[fd].phase; {
	case phase == phaseConnect:
		c.connected(fd)
	case phase > phaseConnect && readable:
		c.receive(fd)
	}
	return false
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
	for i := range c.streams {
		c.streams[i].since = 0
	}
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
