package admin

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
)

const (
	// bufferSize is how much is read at a time, and how much may be waiting to
	// be written before it is.
	bufferSize = 64 << 10

	// writeTimeout is how long a client may take to read one buffer of replies.
	writeTimeout = 10 * time.Second

	// authTimeout is how long a client may take to give the password. It is for
	// people who type it.
	authTimeout = time.Minute

	// lingerTimeout is how long a client is waited for that was sent its last
	// reply.
	lingerTimeout = time.Second

	// maxAuthFailures is how many wrong passwords end a connection.
	maxAuthFailures = 10
)

// conn is a client's connection, owned by the goroutine that runs serve. Close
// of the server closes nc under it.
type conn struct {
	server *Server
	nc     net.Conn
	id     int64

	parser   resp.Parser
	buf      []byte // buf[from:to] has been received and not executed
	from, to int
	out      []byte // replies that have not been written

	version       resp.Version
	authenticated bool
	authFailures  int
	leaving       bool // once the replies are written

	name, libName, libVersion string // as the client set them

	channel string // of the last PUBLISH
	linked  bool   // see Broker.Linked
	batch   []channels.Publication
	batched int  // bytes of it
	sent    bool // a batch has been published: its replies are not to wait for the next

	subscriptions subscriptions
	outbox        *outbox // takes what is written, from the first subscription on; nil before
}

func newConn(s *Server, nc net.Conn, id int64) *conn {
	c := &conn{server: s, nc: nc, id: id, linked: s.cfg.Broker.Linked()}
	c.parser.Verbatim = verbatim
	c.reset()
	return c
}

// reset gives the connection the state of a new one.
func (c *conn) reset() {
	c.speak(resp.RESP2)
	c.name, c.libName, c.libVersion = "", "", ""
	c.authenticated = c.server.cfg.Password == ""
	c.parser.Limits = c.server.limits
	if !c.authenticated {
		c.parser.Limits = resp.Unauthenticated
		c.nc.SetReadDeadline(time.Now().Add(authTimeout))
	}
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
func (c *conn) onlyPubSub() bool { return c.version == resp.RESP2 && c.subscriptions.count() > 0 }

// verbatim makes `PUBLISH /channel {"foo": "bar"}` publish JSON: the rest of an
// inline PUBLISH is the payload as it stands, where Redis would see unbalanced
// quotes.
func verbatim(name []byte) int {
	if bytes.EqualFold(name, []byte("PUBLISH")) {
		return 2 // the name and the channel
	}
	return 0
}

// serve answers requests until the client or the server has had enough.
func (c *conn) serve() {
	defer c.nc.Close()
	c.converse()
	c.stopSubscriber()
	if c.leaving {
		c.linger()
	}
}

// converse reads requests and answers them.
func (c *conn) converse() {
	for {
		err := c.execute()
		switch {
		case errors.Is(err, resp.ErrCrossProtocol):
			c.server.cfg.Logger.Warn("admin port aborted an HTTP request, possibly an attack through somebody's browser",
				"client", c.nc.RemoteAddr())
			return
		case errors.Is(err, resp.ErrProtocol):
			c.fail("ERR %v", err)
			c.leaving = true
		case err != nil:
			return
		}
		if c.flush() != nil || c.leaving || c.fill() != nil {
			return
		}
	}
}

// stopSubscriber ends what the first subscription began, once the client has got
// what it was sent before.
func (c *conn) stopSubscriber() {
	if c.outbox == nil {
		return
	}
	c.unsubscribeAll()
	c.outbox.awaitUnsent(1)
	c.server.subscribers.Add(-1)
	if why := c.outbox.close(); why == errSlow {
		c.server.dropped.Add(1)
		c.server.cfg.Logger.Warn("admin subscriber is dropped: it does not read", "client", c.nc.RemoteAddr(), "name", c.name)
	}
}

// execute runs the complete requests in the buffer, up to one that ends the
// connection. An error ends it too.
func (c *conn) execute() error {
	for !c.leaving && !c.server.isStopped() {
		args, n, err := c.parser.Next(c.buf[c.from:c.to])
		if n == 0 || err != nil {
			c.publishBatch()
			return err
		}
		c.from += n
		if len(args) > 0 {
			c.run(args)
		}
		if len(c.out) >= bufferSize || c.outbox != nil || c.sent { // messages and replies have one order
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	c.publishBatch()
	return nil
}

// flush writes the replies. A client that does not read them is cut off.
func (c *conn) flush() error {
	c.sent = false
	if len(c.out) == 0 {
		return nil
	}
	if c.outbox != nil {
		c.outbox.put(c.out)
		c.out = c.out[:0]
		return c.outbox.awaitUnsent(maxUnsent)
	}
	c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.nc.Write(c.out)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.server.cfg.Logger.Warn("admin client does not read its replies", "client", c.nc.RemoteAddr(), "unread", len(c.out))
	}
	if c.out = c.out[:0]; cap(c.out) > 2*bufferSize {
		c.out = nil
	}
	return err
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
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, c.nc)
}
