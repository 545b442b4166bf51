package handshake

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"millrace/internal/tlsrecord"
)

const (
	// MaxUnread bounds what a client may have sent that the handshake has not come to, in
	// bytes: requests behind it, say. Then nothing more is to be read until it is over.
	MaxUnread = 32 << 10
	// maxRead bounds what a client may send for the handshake: ten times what they do. A server
	// may send more, since certificates are as long as they like.
	maxRead = 32 << 10
)

// Conn is one handshake under way. Its methods belong to the loop; the goroutine of the
// handshake reaches the loop by notify only.
type Conn struct {
	// ID is the caller's, to find the connection by.
	ID int32

	pool   *pool
	notify func(*Conn)
	client bool   // this end is the client
	keys   keyLog // goroutine
	hello  hello  // goroutine; read by the loop when it is over
	waits  atomic.Bool

	mu     sync.Mutex
	fed    sync.Cond // something has changed for the goroutine
	in     []byte    // has come and was not read
	ended  bool      // nothing more will come
	closed bool      // by the loop
	out    []byte    // all that was written
	sent   int       // out[:sent] was taken by the loop
	over   bool
	state  tlsrecord.State // if it is over, and err is nil
	err    error
}

// hello is what is known of a client.
type hello struct {
	Hello
	name     string
	protocol string
}

// Start begins a handshake. notify is called whenever there is something Unsent, and when
// it is over, from another goroutine, which must not wait.
func (s *Server) Start(id int32, notify func(*Conn)) *Conn {
	c := &Conn{ID: id, pool: &s.pool, notify: notify}
	c.start(tls.Server(&memory{c: c}, s.base))
	return c
}

func (c *Conn) start(conn *tls.Conn) {
	c.fed.L = &c.mu
	c.pool.running.Add(1)
	go c.run(conn)
}

// run is the goroutine.
func (c *Conn) run(conn *tls.Conn) {
	defer c.pool.running.Done()
	c.pool.tokens <- struct{}{}
	var state tlsrecord.State
	err := c.shake(conn, &state)
	<-c.pool.tokens
	c.mu.Lock()
	c.state, c.err, c.over = state, err, true
	state.Clear()
	c.mu.Unlock()
	c.notify(c)
}

// shake makes the handshake, and sets state to what it has agreed upon.
func (c *Conn) shake(conn *tls.Conn, state *tlsrecord.State) (err error) {
	defer Catch(&err)
	if err := conn.Handshake(); err != nil {
		return err
	}
	return c.takeKeys(state, conn.ConnectionState())
}

// takeKeys sets state to what crypto/tls has agreed upon, if what it wrote proves it.
func (c *Conn) takeKeys(state *tlsrecord.State, has tls.ConnectionState) error {
	defer c.keys.clear()
	if has.Version != tls.VersionTLS13 || !has.HandshakeComplete {
		return fmt.Errorf("%w: %s was agreed upon", errHandover, tls.VersionName(has.Version))
	}
	c.hello.protocol = has.NegotiatedProtocol
	read, write := c.keys.client.value(), c.keys.server.value()
	if c.client {
		read, write = write, read
	}
	written, err := tlsrecord.CountSealed(has.CipherSuite, write, c.out) // which only this goroutine changes
	if err == nil {
		err = state.Init(has.CipherSuite, read, write, written)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errHandover, err)
	}
	if c.client {
		state.SkipTickets()
	}
	return nil
}

// Feed hands in what has come from the client. It returns false when more than MaxUnread of
// it waits: a handshake takes as much at once, so it is computing, or waits for its turn.
func (c *Conn) Feed(p []byte) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits.Store(false)
	c.in = append(c.in, p...)
	c.fed.Signal()
	return len(c.in) <= MaxUnread
}

// End tells that nothing more will come from the client.
func (c *Conn) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.fed.Signal()
}

// Waits tells whether the handshake waits for its client, and not for a token.
func (c *Conn) Waits() bool { return c.waits.Load() }

// Unsent returns what is to be sent to the client.
func (c *Conn) Unsent() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out[c.sent:] // to which the goroutine appends only
}

// Sent tells how much of Unsent was sent.
func (c *Conn) Sent(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += n
}

// Result returns whether the handshake is over, and why it has failed if it has.
func (c *Conn) Result() (over bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over, c.err
}

// Take hands over a connection whose handshake has succeeded: its state, and what the client
// has sent behind the handshake, still sealed. Both in one step, or what is fed between
// them would be lost.
func (c *Conn) Take(state *tlsrecord.State) (unread []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*state = c.state
	c.state.Clear()
	unread, c.in = c.in, nil
	return unread
}

// ServerName is the name that the client has asked for, empty if none is known.
func (c *Conn) ServerName() string { return c.hello.name }

// Protocol is what ALPN has agreed upon, empty for nothing.
func (c *Conn) Protocol() string { return c.hello.protocol }

// Close gives the handshake up. Its goroutine ends as soon as it does not compute.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.fed.Signal()
}

func (c *Conn) noteHello(h *tls.ClientHelloInfo) {
	c.hello = hello{Hello: HelloOf(h), name: h.ServerName}
}

// memory is a Conn as crypto/tls sees it. It reads record by record, so that crypto/tls
// never has anything of what follows the handshake.
type memory struct {
	net.Conn // nil: nothing else is called
	c        *Conn
	header   []byte // of the record under way, as far as it was read
	left     int    // of its body
	read     int
	backing  [recordHeader]byte
}

const recordHeader = 5

func (m *memory) Read(p []byte) (int, error) {
	c := m.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.await(); err != nil {
		return 0, err
	}
	if m.left == 0 && len(m.header) == recordHeader {
		m.header = m.header[:0]
	}
	if m.header == nil {
		m.header = m.backing[:0]
	}
	inHeader := len(m.header) < recordHeader
	most := m.left
	if inHeader {
		most = recordHeader - len(m.header)
	}
	n := copy(p[:min(len(p), most)], c.in)
	if inHeader {
		if m.header = append(m.header, c.in[:n]...); len(m.header) == recordHeader {
			m.left = int(m.header[3])<<8 | int(m.header[4])
		}
	} else {
		m.left -= n
	}
	c.in = c.in[n:]
	if m.read += n; m.read > maxRead && !c.client {
		return 0, errTooMuch
	}
	return n, nil
}

// await returns when there is something to read, or an error when there never will be. The
// token is given back for as long as that takes. c.mu is held.
func (c *Conn) await() error {
	if len(c.in) > 0 && !c.closed {
		return nil
	}
	if !c.closed && !c.ended {
		c.waits.Store(true)
		unsent := c.sent < len(c.out)
		<-c.pool.tokens
		if unsent {
			c.mu.Unlock()
			c.notify(c)
			c.mu.Lock()
		}
		for len(c.in) == 0 && !c.closed && !c.ended {
			c.fed.Wait()
		}
		c.waits.Store(false)
		c.mu.Unlock()
		c.pool.tokens <- struct{}{}
		c.mu.Lock()
	}
	switch {
	case c.closed:
		return net.ErrClosed
	case len(c.in) == 0:
		return io.EOF
	}
	return nil
}

func (m *memory) Write(p []byte) (int, error) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	if m.c.closed {
		return 0, net.ErrClosed
	}
	m.c.out = append(m.c.out, p...)
	return len(p), nil
}

// Close is called by nothing that matters: the socket is the loop's.
func (m *memory) Close() error { return nil }
