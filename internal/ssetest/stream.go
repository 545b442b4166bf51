// Package ssetest is a client of event streams for tests: one that is cut off and
// goes on where it was, as an EventSource does. What millrace does not write is an
// error.
package ssetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"millrace/internal/eventstream"
)

// Event is one event of a stream, or what else ends with a blank line: a comment, a
// retry, or the greeting. Of these there is neither Type nor Data.
type Event = eventstream.Event

// ErrAnswer is wrapped by the error about an answer that is no event stream.
var ErrAnswer = errors.New("no event stream")

// Client has one stream at a time, and remembers what it has seen last.
type Client struct {
	Target string // of the request
	LastID string // what the next stream begins after; "" for its head
	Source net.IP // to connect from; nil for any
	conn   net.Conn
	forget func() bool // the context of conn
	buffer *bufio.Reader
	stream eventstream.Reader
}

// Open opens a stream at addr, in place of the one that there may be, and reads
// its response head. deadline bounds all reading from it.
func (c *Client) Open(addr string, deadline time.Time) error {
	return c.OpenContext(context.Background(), addr, deadline)
}

// OpenContext is Open for a stream that ends when ctx is done.
func (c *Client) OpenContext(ctx context.Context, addr string, deadline time.Time) error {
	c.Close()
	dialer := net.Dialer{Deadline: deadline}
	if c.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: c.Source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	conn.SetDeadline(deadline)
	c.conn, c.forget = conn, context.AfterFunc(ctx, func() { conn.Close() })
	if c.buffer == nil {
		c.buffer = bufio.NewReaderSize(conn, 1024)
	} else {
		c.buffer.Reset(conn)
	}
	resume := ""
	if c.LastID != "" {
		resume = "Last-Event-ID: " + c.LastID + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", c.Target, resume); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, err := c.buffer.ReadString('\n')
		switch {
		case err != nil:
			return err
		case first && line != "HTTP/1.1 200 OK\r\n":
			return fmt.Errorf("%w: answered %q", ErrAnswer, line)
		case line == "\r\n":
			c.stream.Strict, c.stream.LastID = true, c.LastID
			c.stream.Reset(c.buffer)
			return nil
		}
	}
}

// Next reads up to the next blank line. An id is seen only then: of an event that
// is cut short, nothing remains.
func (c *Client) Next() (Event, error) {
	ev, err := c.stream.Next()
	c.LastID = c.stream.LastID
	if ev.Type == "millrace.start" {
		ev.Type, ev.Data, ev.Empty = "", "", true
	}
	return ev, err
}

// Close ends the stream.
func (c *Client) Close() {
	if c.conn != nil {
		c.forget()
		c.conn.Close()
	}
}

// Reset ends the stream with a reset: what is under way is lost.
func (c *Client) Reset() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
