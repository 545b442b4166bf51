package ssetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// Transport is the way that requests and streams take between a client and a server.
type Transport int

const (
	Plain Transport = iota // HTTP/1.1 in the clear
	TLS                    // HTTP/1.1 over TLS
	H2                     // HTTP/2 over TLS
)

// Transports are those that a server has.
var Transports = []Transport{Plain, TLS, H2}

func (v Transport) String() string { return [...]string{"plain", "TLS", "h2"}[v] }

// Of returns the address that is for v: the one of the port in the clear, or of that for TLS.
func (v Transport) Of(plain, secure string) string {
	if v == Plain {
		return plain
	}
	return secure
}

// Protocol is what ALPN is to agree upon.
func (v Transport) Protocol() string {
	if v == H2 {
		return "h2"
	}
	return "http/1.1"
}

// Over runs a test over each transport.
func Over(t *testing.T, test func(t *testing.T, via Transport)) {
	for _, via := range Transports {
		t.Run(via.String(), func(t *testing.T) { test(t, via) })
	}
}

// readSize is how much a client reads at once, in bytes: there may be thousands of them.
const readSize = 1 << 10

// Dialer opens connections to servers, whose certificates it takes as they are.
type Dialer struct {
	Via      Transport
	Source   net.IP    // to connect from; nil for any
	Deadline time.Time // of all that is done with the connection
	Window   uint32    // of each stream of HTTP/2, in bytes; 0 for the 65,535 that the protocol begins with
}

// Dial opens a connection.
func (d Dialer) Dial(ctx context.Context, addr string) (*Conn, error) {
	dialer := net.Dialer{Deadline: d.Deadline}
	if d.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: d.Source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(d.Deadline)
	c := &Conn{Conn: conn, tcp: conn.(*net.TCPConn)}
	if d.Via != Plain {
		secure := tls.Client(strictEnd{conn}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{d.Via.Protocol()}})
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		if got := secure.ConnectionState().NegotiatedProtocol; got != d.Via.Protocol() {
			conn.Close()
			return nil, fmt.Errorf("ALPN: %q, want %q", got, d.Via.Protocol())
		}
		c.Conn = secure
	}
	if d.Via == H2 {
		c.shared = share(c.Conn, d.Window)
	} else {
		c.lines = bufio.NewReaderSize(c.Conn, readSize)
	}
	return c, nil
}

// ErrCut is the error of reading from a TLS connection that ends without close_notify:
// crypto/tls says io.EOF if that is between two records.
var ErrCut = errors.New("the connection ends without close_notify")

// strictEnd is a socket below crypto/tls.
type strictEnd struct{ net.Conn }

func (c strictEnd) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = ErrCut
	}
	return n, err
}

// Conn is a connection, for one request, and over HTTP/2 for any number of them. What is
// read from it or written to it is what TLS protects.
type Conn struct {
	net.Conn
	tcp    *net.TCPConn
	lines  *bufio.Reader // of HTTP/1.1
	shared *sharedConn   // of HTTP/2
}

// Answer is an answer to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   io.Reader // ends with io.EOF if the server has ended it in order
}

// Request returns the bytes that ask for target, with fields as "Name: value".
func (c *Conn) Request(target string, fields ...string) []byte {
	if c.shared != nil {
		return c.shared.request(target, fields)
	}
	return RequestText(target, fields...)
}

// RequestText is Request over HTTP/1.1.
func RequestText(target string, fields ...string) []byte {
	return []byte("GET " + target + " HTTP/1.1\r\n" + strings.Join(append([]string{"Host: test"}, fields...), "\r\n") + "\r\n\r\n")
}

// Get asks for target, and reads the head of the answer.
func (c *Conn) Get(target string, fields ...string) (*Answer, error) {
	if _, err := c.Write(c.Request(target, fields...)); err != nil {
		return nil, err
	}
	return c.Answer()
}

// Answer reads the head of the answer to the last request.
func (c *Conn) Answer() (*Answer, error) {
	if c.shared != nil {
		return c.shared.answer()
	}
	head := textproto.NewReader(c.lines)
	line, err := head.ReadLine()
	if err != nil {
		return nil, err
	}
	a := &Answer{Body: c.lines}
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d ", &a.Status); err != nil {
		return nil, fmt.Errorf("%w: answered %q", ErrAnswer, line)
	}
	fields, err := head.ReadMIMEHeader()
	a.Header = http.Header(fields)
	return a, err
}

// CloseWrite tells the server that nothing more will come.
func (c *Conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// Abort has Close reset the connection: what is under way is lost.
func (c *Conn) Abort() { c.tcp.SetLinger(0) }
