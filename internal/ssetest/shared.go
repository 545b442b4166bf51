package ssetest

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// sharedConn is an HTTP2 with its socket. It is safe for concurrent use: of the streams that
// wait for something, one reads for all.
type sharedConn struct {
	conn    net.Conn
	mu      sync.Mutex
	arrived sync.Cond // something has
	reading bool
	h2      *HTTP2
	last    *Stream
	err     error // why nothing more will come
}

func share(conn net.Conn, window uint32) *sharedConn {
	c := &sharedConn{conn: conn, h2: NewHTTP2(window)}
	c.arrived.L = &c.mu
	return c
}

// request returns the bytes of a request, behind those that are to be sent anyway.
func (c *sharedConn) request(target string, fields []string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.h2.Request(target, fields...)
	return c.h2.Out()
}

func (c *sharedConn) answer() (*Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.last
	err := c.await(func() bool { return s.Status != 0 || s.err != nil })
	if s.Status == 0 {
		if err == nil {
			err = s.err
		}
		return nil, err
	}
	return &Answer{s.Status, s.Header, body{c, s}}, nil
}

// await reads until ok holds. c.mu is held.
func (c *sharedConn) await(ok func() bool) error {
	var buf []byte
	for !ok() {
		switch {
		case c.err != nil:
			return c.err
		case c.reading:
			c.arrived.Wait()
			continue
		case buf == nil:
			buf = make([]byte, 16<<10)
		}
		c.reading = true
		c.mu.Unlock()
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.reading = false
		if wrong := c.h2.Take(buf[:n]); wrong != nil {
			err = wrong
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // of whatever is open
		}
		if c.err == nil {
			c.err = err
		}
		c.flush()
		c.arrived.Broadcast()
	}
	return nil
}

// flush sends what is to be sent.
func (c *sharedConn) flush() {
	if out := c.h2.Out(); len(out) > 0 {
		c.conn.Write(out) // a server that has gone is found out by reading
	}
}

// body is the body of an answer.
type body struct {
	c *sharedConn
	s *Stream
}

func (b body) Read(p []byte) (int, error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if err := b.c.await(b.s.isReadable); err != nil {
		return 0, fmt.Errorf("stream %d: %w", b.s.ID, err)
	}
	n, err := b.s.Read(p)
	b.c.flush()
	return n, err
}
