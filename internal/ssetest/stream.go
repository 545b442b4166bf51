// Package ssetest is a client of event streams for tests: one that is cut off and
// goes on where it was, as an EventSource does. It reads what millrace writes, not
// all that the standard allows.
package ssetest

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Event is one event of a stream, or what else ends with a blank line: a comment, a
// retry, or the greeting. Of these there is neither Type nor Data.
type Event struct {
	ID, Type, Data string
	Retry          time.Duration
}

// Client has one stream at a time, and remembers what it has seen last.
type Client struct {
	Target string // of the request
	LastID string // what the next stream begins after; "" for its head
	Source net.IP // to connect from; nil for any
	conn   net.Conn
	lines  *bufio.Reader
}

// Open opens a stream at addr, in place of the one that there may be, and reads
// its response head. deadline bounds all reading from it.
func (c *Client) Open(addr string, deadline time.Time) error {
	c.Close()
	dialer := net.Dialer{Deadline: deadline}
	if c.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: c.Source}
	}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	conn.SetDeadline(deadline)
	c.conn = conn
	if c.lines == nil {
		c.lines = bufio.NewReaderSize(conn, 1024)
	} else {
		c.lines.Reset(conn)
	}
	resume := ""
	if c.LastID != "" {
		resume = "Last-Event-ID: " + c.LastID + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", c.Target, resume); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, err := c.line()
		switch {
		case err != nil:
			return err
		case first && line != "HTTP/1.1 200 OK\r":
			return fmt.Errorf("answered %q, want an event stream", line)
		case line == "\r":
			return nil
		}
	}
}

// Next reads up to the next blank line. An id is seen only then: of an event that
// is cut short, nothing remains.
func (c *Client) Next() (Event, error) {
	var ev Event
	id := c.LastID
	for {
		line, err := c.line()
		if err != nil {
			return Event{}, err
		}
		if line == "" {
			c.LastID, ev.ID = id, id
			if ev.Type == "millrace.start" {
				ev.Type, ev.Data = "", ""
			}
			return ev, nil
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			id = value
		case "event":
			ev.Type = value
		case "data":
			ev.Data += value
		case "retry":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return Event{}, err
			}
			ev.Retry = time.Duration(ms) * time.Millisecond
		default:
			if !strings.HasPrefix(line, ":") {
				return Event{}, fmt.Errorf("a line %q", line)
			}
		}
	}
}

func (c *Client) line() (string, error) {
	line, err := c.lines.ReadString('\n')
	if err != nil {
		return "", err // without its end it is no line
	}
	return line[:len(line)-1], nil
}

// Close ends the stream.
func (c *Client) Close() {
	if c.conn != nil {
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
