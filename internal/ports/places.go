package ports

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/throttle"
)

const (
	// keptShare is the part of the places, one in so many, that is kept for health.
	keptShare = 8
	// busyFor is how long an answer may take before its connection counts as idle: a
	// body that does not come, or an answer that nobody takes.
	busyFor = time.Second
	// grace is the time a connection has for its request to be read, from the first try
	// or its last answer on, before it counts as idle. Until that try, which does not
	// depend on the client, it has busyFor.
	grace = 50 * time.Millisecond
	// look is the time between two looks for a place, while all are within that.
	look = 2 * time.Millisecond
)

// Places are the connections of an HTTP port with few clients, as the listener of an
// http.Server, whose ConnContext and ConnState have to be those of the Places, and whose
// Handler one by their Handler. When all are taken, the
// one that has been idle for longest goes, and idle is all that a server may not answer
// or has nothing to answer to; newcomers wait for it while there is only grace left of
// that. Where all are busy, newcomers get places that are kept: there, Kept says, only
// questions about health are answered. Safe for concurrent use.
type Places struct {
	net.Listener
	name       string // of the port, for people
	log        *slog.Logger
	full       throttle.Line
	most, kept int
	began      time.Time
	closed     chan struct{}
	close      sync.Once

	displaced, rejected atomic.Int64

	mu     sync.Mutex
	places map[*place]struct{}
	late   int // those that are kept
	release
}

// place is a connection. All but the connection is guarded by Places.mu.
type place struct {
	net.Conn
	of      *Places
	tried   sync.Once
	since   time.Duration // of Places.began: when it came, was first read, or its last answer began or ended
	read    bool          // reading has been tried
	busy    bool          // there is something to answer
	patient bool          // for as long as it takes
	late    bool
	request request
}

// PlaceStats are the figures of Places.
type PlaceStats struct {
	Open, Most int
	Displaced  int64 // idle ones, ended for newer ones
	Rejected   int64 // newcomers for which only places for health were left
}

// OpsStats are the figures of the ops port, which the admin port tells too. Those that
// count do so since it was opened.
type OpsStats struct {
	PlaceStats
	WrongTokens int64
	Refused     int64     // requests that are not allowed
	Streams     int       // event streams that are open
	TLS         *TLSStats // nil: the port is in the clear
}

// NewPlaces returns the connections that ln accepts, most at a time, which is at least
// 2. It logs to log when they are all taken.
func NewPlaces(ln net.Listener, name string, most int, log *slog.Logger) *Places {
	most = max(2, most)
	return &Places{
		Listener: ln, name: name, log: log, most: most, kept: max(1, most/keptShare), began: time.Now(),
		closed: make(chan struct{}), places: make(map[*place]struct{}),
	}
}

// Most is how many there are, those kept for health included.
func (p *Places) Most() int { return p.most }

// Stats returns the figures as they are now.
func (p *Places) Stats() PlaceStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PlaceStats{Open: len(p.places), Most: p.most, Displaced: p.displaced.Load(), Rejected: p.rejected.Load()}
}

// Accept implements net.Listener.
func (p *Places) Accept() (net.Conn, error) {
	conn, waiting, err := p.accept()
	defer p.accepted()
	if err != nil {
		return nil, err
	}
	if waiting != nil {
		return waiting, nil
	}
	added, gone := p.add(conn, time.Since(p.began))
	for ; added == nil; added, gone = p.add(conn, time.Since(p.began)) {
		select {
		case <-p.closed:
			conn.Close()
			return nil, net.ErrClosed
		case <-time.After(look):
		}
	}
	if gone != nil {
		p.displaced.Add(1)
		p.full.Log(p.log, slog.LevelWarn, "the "+p.name+" port is full: the connection that was idle for longest is ended",
			"client", gone.RemoteAddr().String(), "connections", p.most)
		gone.Conn.Close()
	}
	return added, nil
}

// Close implements net.Listener.
func (p *Places) Close() error {
	p.close.Do(func() {
		close(p.closed)
		p.dropWaiting()
	})
	return p.Listener.Close()
}

// add gives a place to a connection, and returns which one has lost its own for it. It
// returns nil while it has to wait.
func (p *Places) add(conn net.Conn, now time.Duration) (added, gone *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	added = p.newPlace(conn, now)
	if p.released != nil {
		return p.put(added), nil
	}
	if len(p.places)-p.late >= p.most-p.kept {
		gone, soon := p.idlest(now, false)
		if gone == nil && !soon {
			if added.late = true; p.late >= p.kept {
				gone, _ = p.idlest(now, true)
			}
		}
		if gone == nil && (soon || p.late >= p.kept) {
			return nil, nil
		}
		return p.put(added), p.remove(gone)
	}
	return p.put(added), nil
}

// put puts a connection in. Called with mu held.
func (p *Places) put(added *place) *place {
	p.places[added] = struct{}{}
	if added.late {
		p.late++
	}
	return added
}

// idlest returns the connection that has been idle for longest, among those that are
// late or among the others; nil if none is idle, and then whether some will be before
// their grace is over. Called with mu held.
func (p *Places) idlest(now time.Duration, late bool) (found *place, soon bool) {
	for c := range p.places {
		switch age := now - c.since; {
		case c.late != late || c.patient || c.busy && age < busyFor:
		case age < grace, !c.read && age < busyFor:
			soon = true
		case found == nil || c.since < found.since:
			found = c
		}
	}
	return found, soon
}

// remove takes a connection out, unless it is nil or has been, and returns it. Called
// with mu held.
func (p *Places) remove(c *place) *place {
	if _, ok := p.places[c]; ok {
		delete(p.places, c)
		if c.late {
			p.late--
		}
	}
	return c
}

// newPlace returns a place that has not been put in.
func (p *Places) newPlace(conn net.Conn, now time.Duration) *place {
	return &place{Conn: conn, of: p, since: now, request: request{between: true, stopped: true}}
}

// Read implements net.Conn. One goroutine reads.
func (c *place) Read(b []byte) (int, error) {
	c.tried.Do(func() {
		now := time.Since(c.of.began)
		c.of.mu.Lock()
		c.since, c.read = now, true
		c.of.mu.Unlock()
	})
	return c.readRequest(b)
}

// Close implements net.Conn.
func (c *place) Close() error {
	c.of.mu.Lock()
	c.of.remove(c)
	c.of.tellQuiet()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite is for net/http, which then lets the client read the last answer.
func (c *place) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// placeKey is the key of a connection's place in the contexts of its requests.
type placeKey struct{}

// ConnContext is that of the http.Server. With TLS the place is that of the connection
// within.
func (p *Places) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*SecureConn); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, placeKey{}, conn)
}

// placeOf returns the place of a request's connection, nil if it has none.
func placeOf(r *http.Request) *place {
	c, _ := r.Context().Value(placeKey{}).(*place)
	return c
}

// Busy notes that an authorized request is being answered, until done is called. For so
// long, but no longer than busyFor unless it is Patient, its connection does not count as
// idle.
func Busy(r *http.Request) (done func()) {
	c := placeOf(r)
	if c == nil {
		return func() {}
	}
	c.set(true, false)
	return func() { c.set(false, false) }
}

// Patient notes that the answer that is under way takes as long as it takes, as a stream
// does. How many of these there are is for the caller to bound.
func Patient(r *http.Request) {
	if c := placeOf(r); c != nil {
		c.set(true, true)
	}
}

func (c *place) set(busy, patient bool) {
	now := time.Since(c.of.began)
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.since, c.busy, c.patient = now, busy, patient
}

// Kept tells that a request came at a place that is kept for questions about health.
func Kept(r *http.Request) bool {
	c := placeOf(r)
	return c != nil && c.late // which never changes
}

// Reject counts a request that is refused for that, and logs it.
func (p *Places) Reject(r *http.Request) {
	p.rejected.Add(1)
	p.full.Log(p.log, slog.LevelWarn, "the "+p.name+" port is full of requests that are being answered: others are told to come back",
		"client", r.RemoteAddr, "connections", p.most)
}
