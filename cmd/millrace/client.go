package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"millrace/internal/resp"
)

const (
	defaultAdmin = "127.0.0.1:7379" // as in the tags
	dialTimeout  = 10 * time.Second
	// replyTimeout is how long the server may take for one reply. It holds a
	// publisher back for a few seconds when an event loop is behind.
	replyTimeout = 30 * time.Second
)

// adminFlags say how to reach the admin port of a server.
type adminFlags struct {
	Admin             address    `default:"127.0.0.1:7379" placeholder:"HOST:PORT" help:"Address of the server's admin port. [${default}]"`
	AdminPassword     secret     `placeholder:"TEXT" help:"Password of the admin port. Other users can read a command line: set the variable. [none]"`
	AdminPasswordFile secretFile `placeholder:"FILE" help:"File with the password. [none]"`
}

// client is a connection to an admin port. One goroutine may send while another
// receives.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	buf  []byte
}

// dial connects and gives the password. The connection breaks when ctx is done.
func (f *adminFlags) dial(ctx context.Context) (*client, error) {
	password := f.AdminPassword
	if err := resolve([]secretSource{{flag: "admin-password", value: &password, file: f.AdminPasswordFile}}); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", string(f.Admin))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("the admin port %s refuses connections: is millrace running? --admin names another address", f.Admin)
	}
	if err != nil {
		return nil, fmt.Errorf("the admin port %s: %w; --admin names another address", f.Admin, err)
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	c := &client{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	if password != "" {
		if _, err := c.ask("AUTH", string(password)); err != nil {
			conn.Close()
			return nil, fmt.Errorf("--admin-password: %w", err)
		}
	}
	return c, nil
}

func (c *client) close() { c.conn.Close() }

// ask sends one command and returns its reply.
func (c *client) ask(args ...string) (any, error) {
	if err := c.send(args...); err != nil {
		return nil, err
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	return c.receive()
}

// send adds a command to those that wait for flush, and flushes when they are
// many.
func (c *client) send(args ...string) error {
	c.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	c.buf = resp.AppendCommand(c.buf[:0], args...)
	_, err := c.w.Write(c.buf)
	return err
}

func (c *client) flush() error { return c.w.Flush() }

// receive returns the next reply. An error reply is an error of type
// resp.Error, after which the next one can be received.
func (c *client) receive() (any, error) {
	c.conn.SetReadDeadline(time.Now().Add(replyTimeout))
	if first, err := c.r.Peek(1); err == nil && first[0] == 'H' { // no reply begins so
		if protocol, _ := c.r.Peek(len("HTTP/")); string(protocol) == "HTTP/" {
			return nil, fmt.Errorf("%s speaks HTTP, so it is no admin port: --admin names that, %s by default", c.conn.RemoteAddr(), defaultAdmin)
		}
	}
	return resp.ReadReply(c.r)
}
