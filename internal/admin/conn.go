package admin

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/ports"
	"millrace/internal/resp"
)

const (
	// bufferSize is how much is read at a time, and how much may be waiting to
	// be written before it is.
	bufferSize = 64 << 10

	// writeTimeout is how long a client may take none of the bytes sent to it.
	writeTimeout = time.Minute

	// authTimeout is how long a client may take to give the password.
	authTimeout = 10 * time.Second

	// lingerTimeout is how long a client is waited for that was sent its last
	// reply.
	lingerTimeout = time.Second

	// maxAuthFailures is how many wrong passwords end a connection.
	maxAuthFailures = 10
)

// conn is a client's connection, owned by the goroutine that runs serve. Others end it by
// hangUp.
type conn struct {
	server *Server
	nc     net.Conn // what is said on it; with TLS a ports.SecureConn
	wire   *patient // the connection within
	id     int64
	began  time.Time

	secured  bool // the handshake is over, or there is none
	opened   bool // the first request was one of this protocol
	parser   resp.Parser
	buf      []byte // buf[from:to] has been received and not executed
	from, to int
	out      []byte // replies that have not been written
	socket   socket
	outbox   *outbox // takes all bytes, from the first time on that some have to wait; nil before

	version       resp.Version
	authenticated bool
	authFailures  int
	leaving       bool // once the replies are written
	hangup        bool // at once

	name, libName, libVersion string // as the client set them

	channel string // of the last PUBLISH
	linked  bool   // see Broker.Linked
	batch   []channels.Publication
	batched int  // bytes of it
	sent    bool // a batch has been published: its replies are not to wait for the next

	request [][]byte // that is being executed
	undone  []byte   // requests that come first when the connection goes on, see putBack
	parked  bool     // no goroutine serves it; guarded by Server.mu
	late    bool     // bytes of it have yet to come from the process that had it; guarded by Server.mu
	talking bool     // its goroutine answers requests; guarded by Server.mu

	subscriptions subscriptions
	transaction   transaction

	known atomic.Pointer[about] // for other connections, see show
	used  atomic.Int64          // when something came last, in nanoseconds since the server began
}

func newConn(s *Server, nc net.Conn, id int64) *conn {
	c := &conn{server: s, wire: &patient{Conn: nc}, id: id, began: time.Now(), linked: s.cfg.Broker.Linked()}
	if s.cfg.TLS == nil {
		c.nc, c.socket, c.secured = c.wire, newSocket(nc), true
	} else { // whose records the outbox writes, since they have to leave whole
		c.nc = s.cfg.TLS.Server(c.wire, inClear)
	}
	c.parser.Verbatim = verbatim
	c.reset()
	c.touch()
	c.show()
	return c
}

// reset gives the connection the state of a new one.
func (c *conn) reset() {
	c.speak(resp.RESP2)
	c.name, c.libName, c.libVersion = "", "", ""
	c.transaction = transaction{}
	c.authenticated = c.server.cfg.Password == ""
	c.parser.Limits = c.server.limits
	if !c.authenticated {
		c.parser.Limits = resp.Unauthenticated
		c.nc.SetReadDeadline(time.Now().Add(authTimeout))
	}
}

// inTLS tells whether the port takes TLS.
func (c *conn) inTLS() bool {
	_, ok := c.nc.(*ports.SecureConn)
	return ok
}

// speak changes the version of the protocol.
func (c *conn) speak(version resp.Version) {
	c.version = version
	if c.outbox != nil {
		c.outbox.speak(version)
	}
}

// onlyPubSub tells whether the client can have no reply to other commands: in
// RESP2, a subscriber takes all that comes for messages.
func (c *conn) onlyPubSub() bool { return c.version == resp.RESP2 && c.subscriptions.any() }

// verbatim makes `PUBLISH /channel {"foo": "bar"}` publish JSON: the rest of an
// inline PUBLISH is the payload as it stands, where Redis would see unbalanced
// quotes.
func verbatim(name []byte) int {
	if bytes.EqualFold(name, []byte("PUBLISH")) {
		return 2 // the name and the channel
	}
	return 0
}

// serve answers requests until the client or the server has had enough. It returns
// errInterrupted if it is to be called again.
func (c *conn) serve() error {
	if c.converse() == errInterrupted || c.stopOutbox() == errInterrupted {
		return errInterrupted
	}
	if c.leaving && !c.hangup && linger(c.nc) == errInterrupted {
		return errInterrupted
	}
	return c.nc.Close()
}

// inClear is the answer to a client without TLS at a port that takes nothing else.
const inClear = "-ERR this port takes TLS only, as redis-cli --tls and millrace publish --admin-tls speak it\r\n"

// secure makes the handshake, if there is one. It returns false if that has failed.
func (c *conn) secure() bool {
	nc, ok := c.nc.(*ports.SecureConn)
	if !ok {
		return true
	}
	nc.SetDeadline(c.began.Add(authTimeout))
	if nc.Handshake() != nil {
		return false
	}
	nc.SetWriteDeadline(time.Time{})
	if c.authenticated {
		nc.SetReadDeadline(time.Time{})
	}
	c.secured = true
	c.show()
	return true
}

// hangUp ends the connection at once. Safe for concurrent use.
func (c *conn) hangUp() { c.wire.Close() }

// converse reads requests and answers them. It returns errInterrupted between two of them,
// with their replies flushed, if the connection is to go on later.
func (c *conn) converse() error {
	for {
		err := c.execute()
		interrupted := c.takeUndone() || err == errInterrupted || c.server.isReleasing()
		switch {
		case interrupted:
		case errors.Is(err, resp.ErrCrossProtocol):
			c.server.cfg.Logger.Warn("admin port aborted an HTTP request, possibly an attack through somebody's browser",
				"client", c.nc.RemoteAddr())
			return err
		case errors.Is(err, resp.ErrTooLarge) && c.authenticated:
			c.fail("ERR %v: an event may have %d bytes (--max-event-bytes)", err, c.server.cfg.MaxEventBytes)
			c.leaving = true
		case errors.Is(err, resp.ErrProtocol):
			c.fail("ERR %v", err)
			c.leaving = true
		case err != nil:
			return err
		}
		if c.hangup {
			return nil
		}
		if err := c.flush(); err != nil || c.leaving {
			return err
		}
		if interrupted {
			return errInterrupted
		}
		if err := c.fill(); err != nil {
			return err
		}
		c.touch()
	}
}

// stopOutbox ends the outbox, and the subscriptions with it, once the client has got the
// bytes that it was sent before. It returns errInterrupted if that is to be done later.
func (c *conn) stopOutbox() error {
	if c.outbox == nil {
		return nil
	}
	c.unsubscribeAll()
	if c.outbox.awaitUnsent(1) == errInterrupted {
		return errInterrupted
	}
	if c.subscriptions.ever {
		c.server.subscribers.Add(-1)
	}
	if why := c.outbox.close(); why == errSlow {
		c.server.dropped.Add(1)
		c.server.cfg.Logger.Warn("an admin client is dropped: it does not read",
			"client", c.nc.RemoteAddr(), "name", c.name, "subscribed", c.subscriptions.ever)
	}
	c.outbox = nil
	return nil
}

// execute runs the complete requests in the buffer, up to one that ends the
// connection or cannot be done now. An error ends it too, unless it is errInterrupted.
func (c *conn) execute() error {
	for !c.leaving && !c.hangup && len(c.undone) == 0 && !c.server.isStopped() && !c.server.isReleasing() {
		if !c.opened && c.from < c.to {
			if err := resp.CheckOpening(c.buf[c.from]); err != nil {
				return err
			}
		}
		args, n, err := c.parser.Next(c.buf[c.from:c.to])
		if n == 0 || err != nil {
			c.publishBatch()
			return err
		}
		request := c.buf[c.from : c.from+n]
		c.from += n
		if len(args) == 0 {
			continue
		}
		if !c.opened {
			if err := c.open(request, args); err != nil {
				return err
			}
		}
		c.run(args)
		if len(c.out) >= bufferSize || c.outbox != nil || c.sent { // messages and replies have one order
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	c.publishBatch()
	return nil
}

// open judges the first request of the connection. A line of another protocol that
// happens to be one of this, PUBLISH /rooms/42 HTTP/1.1, must not run, nor may anything
// after a line that means nothing here.
func (c *conn) open(request []byte, args [][]byte) error {
	c.opened = true
	if err := resp.CheckFirst(request); err != nil {
		return err
	}
	if _, known := lookUp(commands, args[0]); !known && request[0] != '*' {
		c.leaving = true // once it is told that the command is unknown
	}
	return nil
}

// flush writes the replies. Bytes that the client does not take now wait in the outbox;
// if that is full, the connection waits.
func (c *conn) flush() error {
	c.sent = false
	c.show()
	if len(c.out) == 0 {
		return nil
	}
	rest := c.out
	if c.outbox == nil {
		n, err := c.socket.write(c.out)
		if err != nil {
			return err
		}
		if rest = c.out[n:]; len(rest) > 0 {
			c.needOutbox()
		}
	}
	if len(rest) > 0 {
		c.outbox.put(rest)
	}
	if c.out = c.out[:0]; cap(c.out) > 2*bufferSize {
		c.out = nil
	}
	if c.outbox == nil {
		return nil
	}
	if c.subscriptions.any() {
		return c.outbox.awaitUnsent(maxUnsent)
	}
	return c.outbox.awaitUnsent(maxUnread)
}

// needOutbox has the connection have an outbox.
func (c *conn) needOutbox() {
	if c.outbox == nil {
		c.outbox = newOutbox(c.nc, c.wire, c.version, &c.server.unsent)
	}
}

// fill reads into the buffer, which grows when a request does not fit. It stays
// below twice resp.Limits.Command, because the parser refuses what is longer,
// and shrinks as soon as it is empty.
func (c *conn) fill() error {
	switch {
	case c.from == c.to && len(c.buf) != bufferSize:
		c.buf = make([]byte, bufferSize)
	case c.from > 0:
		copy(c.buf, c.buf[c.from:c.to])
	case c.to == len(c.buf):
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	c.from, c.to = 0, c.to-c.from
	n, err := c.nc.Read(c.buf[c.to:])
	c.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// linger lets the last reply arrive: to close a connection with unread input is
// to reset it, and then the client may never read why.
func linger(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	nc.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, err := io.Copy(io.Discard, nc)
	return err
}
