package ports

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// request is where a connection is in its requests. Between two, everything that was read
// is known, and the connection can go on in another process. Guarded by Places.mu.
type request struct {
	between   bool
	stopped   bool      // between two, and Read does not return or has not been called: nothing is under way
	received  []byte    // of the next request
	unread    []byte    // a part of received that Read has yet to return
	left      int64     // bytes of this request that have yet to come
	unknown   bool      // it is not known which bytes are those of the next request
	until     time.Time // deadline of reads
	secure    bool      // the connection within has TLS
	interrupt bool      // the connection's deadline is over, so that reading ends
}

// mostReceived bounds what is kept of a request's head. It is more than net/http reads of
// one.
const mostReceived = 64 << 10

// Handler notes the beginning of a request that next answers.
func (p *Places) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := placeOf(r); c != nil {
			c.begin(r.ContentLength)
		}
		next.ServeHTTP(w, r)
	})
}

// begin notes that a request has begun to be answered, whose body has so many bytes; -1 if
// that is not known.
func (c *place) begin(length int64) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	q := &c.request
	head := bytes.Index(q.received, []byte("\r\n\r\n"))
	q.between, q.unknown = false, q.secure || head < 0 || length < 0
	if q.interrupt { // since the head was on its way
		q.interrupt = false
		c.Conn.SetReadDeadline(q.until)
	}
	body := q.received[max(head, 0):]
	q.received = nil
	if !q.unknown {
		q.left = length
		q.took(body[len("\r\n\r\n"):])
	}
}

// took notes bytes that have come after a request's head: of its body, or of the next
// request.
func (q *request) took(b []byte) {
	n := min(q.left, int64(len(b)))
	q.left -= n
	if b = b[n:]; len(b) > 0 && !q.unknown {
		q.received = append(q.received, b...)
	}
}

// ConnState is that of the http.Server.
func (p *Places) ConnState(conn net.Conn, state http.ConnState) {
	c, secure := within(conn)
	if c == nil || state != http.StateIdle && state != http.StateNew {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.request.between, c.request.secure = true, secure
	p.tellQuiet()
}

// within returns the place of a connection of the http.Server, and whether it has TLS.
func within(conn net.Conn) (c *place, secure bool) {
	s, secure := conn.(*SecureConn)
	if secure {
		conn = s.NetConn()
	}
	c, _ = conn.(*place)
	return c, secure
}

// readRequest reads, and keeps what is read between two requests. While the places are
// released it does not return between two.
func (c *place) readRequest(b []byte) (n int, err error) {
	p, q := c.of, &c.request
	p.mu.Lock()
	defer p.mu.Unlock()
	for again := true; again; {
		if !c.mayGoOn() {
			return 0, c.letGo()
		}
		if n = copy(b, q.unread); n > 0 {
			q.unread = q.unread[n:]
			return n, nil
		}
		p.mu.Unlock()
		n, err = c.Conn.Read(b)
		p.mu.Lock()
		switch {
		case !q.between:
			q.took(b[:n])
		case n > 0 && (q.secure || len(q.received)+n > mostReceived):
			q.unknown = true
		default:
			q.received = append(q.received, b[:n]...)
		}
		due := !q.until.IsZero() && !time.Now().Before(q.until)
		again = n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !due // it was an interruption
	}
	if !c.mayGoOn() {
		return 0, c.letGo()
	}
	return n, err
}

// mayGoOn waits while the places are released, if the connection is between two requests. It
// returns false if they are closed then. Called with mu held, which it gives up meanwhile.
func (c *place) mayGoOn() bool {
	p := c.of
	for p.released != nil && c.request.between {
		released := p.released
		c.request.stopped = true
		p.tellQuiet()
		p.mu.Unlock()
		open := p.await(released)
		p.mu.Lock()
		if !open {
			return false
		}
	}
	c.request.stopped = false
	return true
}

// letGo closes this process's descriptor of a connection that another one may have: net/http
// would write to it, or shut it, after some errors. It returns that of a read. A connection
// with TLS is nobody else's, and gets its farewell.
// Called with mu held.
func (c *place) letGo() error {
	if !c.request.secure {
		c.Conn.Close()
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}
}

// await waits for Resume, and returns false if the places are closed before.
func (p *Places) await(released chan struct{}) bool {
	select {
	case <-released:
		return true
	case <-p.closed:
		return false
	}
}

// SetReadDeadline implements net.Conn.
func (c *place) SetReadDeadline(t time.Time) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.request.until = t; c.request.interrupt {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *place) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.Conn.SetWriteDeadline(t))
}
