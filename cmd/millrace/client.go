package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"millrace/internal/certs"
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
	AdminTLS          bool       `name:"admin-tls" help:"The admin port takes TLS. [off]"`
	AdminTLSCA        string     `name:"admin-tls-ca" placeholder:"FILE" help:"Authorities that may have signed its certificate, as PEM. [those of this host]"`
	AdminTLSName      string     `name:"admin-tls-name" placeholder:"NAME" help:"Host name that its certificate has to be for. [the host of --admin]"`
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
	secure, err := f.secure()
	if err != nil {
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
	wire := conn
	context.AfterFunc(ctx, func() { wire.Close() })
	if secure != nil {
		if conn, err = handshake(ctx, conn, secure); err != nil {
			wire.Close()
			return nil, fmt.Errorf("the admin port %s: %w", f.Admin, err)
		}
	}
	c := &client{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	if password != "" {
		if _, err := c.ask("AUTH", string(password)); err != nil {
			conn.Close()
			return nil, fmt.Errorf("--admin-password: %w", err)
		}
	}
	return c, nil
}

// secure returns how the connection takes TLS, nil if it does not.
func (f *adminFlags) secure() (cfg *tls.Config, err error) {
	if !f.AdminTLS {
		if f.AdminTLSCA != "" || f.AdminTLSName != "" {
			return nil, fmt.Errorf("%w: --admin-tls-ca and --admin-tls-name are about TLS: want --admin-tls with them", errUsage)
		}
		return nil, nil
	}
	host, _, _ := net.SplitHostPort(string(f.Admin))
	cfg = &tls.Config{ServerName: cmp.Or(f.AdminTLSName, host, "localhost")}
	if f.AdminTLSCA != "" {
		if cfg.RootCAs, err = certs.Authorities(f.AdminTLSCA); err != nil {
			return nil, fmt.Errorf("%w: --admin-tls-ca: %s: %w", errUsage, f.AdminTLSCA, err)
		}
	}
	return cfg, nil
}

// handshake returns conn with TLS. Its errors say what to do.
func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, cfg)
	err := secure.HandshakeContext(ctx)
	switch inClear, untrusted := (tls.RecordHeaderError{}), (*tls.CertificateVerificationError)(nil); {
	case errors.As(err, &inClear):
		return nil, fmt.Errorf("it speaks no TLS: leave --admin-tls out (%w)", err)
	case errors.As(err, &untrusted):
		return nil, fmt.Errorf("%w; --admin-tls-ca names the authorities to trust, --admin-tls-name the host name to ask for", err)
	case err != nil:
		return nil, err
	}
	return secure, nil
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
