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
	Via    Transport // plain, unless it is set
	Target string    // of the request
	LastID string    // what the next stream begins after; "" for its head
	Source net.IP    // to connect from; nil for any
	conn   *Conn
	forget func() bool // the context of conn
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
	conn, err := Dialer{Via: c.Via, Source: c.Source, Deadline: deadline}.Dial(ctx, addr)
	if err != nil {
		return err
	}
	c.conn, c.forget = conn, context.AfterFunc(ctx, func() { conn.tcp.Close() })
	var resume []string
	if c.LastID != "" {
		resume = []string{"Last-Event-ID: " + c.LastID}
	}
	answer, err := conn.Get(c.Target, resume...)
	if err != nil {
		return err
	}
	if answer.Status != 200 {
		return fmt.Errorf("%w: answered %d", ErrAnswer, answer.Status)
	}
	c.stream.Strict, c.stream.LastID = true, c.LastID
	c.stream.Reset(bufio.NewReaderSize(answer.Body, readSize))
	return nil
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
	if c.conn != nil {
		c.conn.Abort()
	}
	c.Close()
}
