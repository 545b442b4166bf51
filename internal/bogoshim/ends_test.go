package bogoshim

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"millrace/internal/handshake"
	"millrace/internal/tlsrecord"
)

// The forms of the shim: what TLS is made by.
const (
	formBaseline = "crypto/tls" // alone
	formRecords  = "tlsrecord"  // behind the handshake
)

// end is our end of a connection with the runner.
type end interface {
	io.ReadWriter
	Handshake() error
	CloseWrite() error // sends close_notify
	update() error     // updates the key for writing
	protocol() string  // that ALPN has agreed upon
}

// errUnknown is of what a form cannot do.
var errUnknown = errors.New("there is no such thing in this form")

// ends returns what makes our end of a connection.
func (o *options) ends(form string) (func(net.Conn) end, error) {
	choose, err := o.choose()
	if err != nil {
		return nil, err
	}
	client, err := o.clientConfig()
	if err != nil {
		return nil, err
	}
	var h handshakes
	switch {
	case form == formBaseline && o.server:
		server := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: o.protocols, GetCertificate: choose}
		return func(conn net.Conn) end { return alone{tls.Server(conn, server)} }, nil
	case form == formBaseline:
		return func(conn net.Conn) end { return alone{tls.Client(conn, client)} }, nil
	case o.server:
		h, err = handshake.New(handshake.Config{Certificate: choose, Protocols: o.protocols, Computing: 1})
	default:
		h = handshake.NewClient(client, 1)
	}
	return func(conn net.Conn) end { return &records{conn: conn, handshakes: h} }, err
}

// alone is crypto/tls alone.
type alone struct{ *tls.Conn }

func (alone) update() error      { return errUnknown }
func (a alone) protocol() string { return a.ConnectionState().NegotiatedProtocol }

// handshakes are those of a server, or of a client.
type handshakes interface {
	Start(id int32, notify func(*handshake.Conn)) *handshake.Conn
	Wait()
}

// records is a connection whose handshake is crypto/tls's, and whose records are ours.
type records struct {
	conn       net.Conn
	handshakes handshakes
	state      tlsrecord.State
	agreed     string // the protocol
	sealed     []byte // read, and not opened
	data       []byte // opened, and not handed out
	err        error  // that follows data
}

func (r *records) protocol() string { return r.agreed }

// Handshake makes the handshake as a loop makes it.
func (r *records) Handshake() error {
	notified := make(chan struct{}, 1)
	c := r.handshakes.Start(0, func(*handshake.Conn) {
		select {
		case notified <- struct{}{}:
		default:
		}
	})
	defer r.handshakes.Wait()
	defer c.Close()
	come := pieces(r.conn)
	r.conn = &queued{Conn: r.conn, come: come}
	for {
		select {
		case piece, open := <-come:
			if c.Feed(piece); !open {
				c.End()
				come = nil
			}
		case <-notified:
			if over, err := r.send(c); over {
				if err == nil {
					r.sealed = c.Take(&r.state)
					r.agreed = c.Protocol()
				}
				return err
			}
		}
	}
}

// pieces reads until the end, in a goroutine.
func pieces(conn net.Conn) <-chan []byte {
	come := make(chan []byte)
	go func() {
		defer close(come)
		for {
			buf := make([]byte, 4096)
			n, err := conn.Read(buf)
			if n > 0 {
				come <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return come
}

// queued is a connection that pieces reads.
type queued struct {
	net.Conn
	come <-chan []byte
	rest []byte
}

func (q *queued) Read(p []byte) (int, error) {
	if len(q.rest) == 0 {
		piece, open := <-q.come
		if !open {
			return 0, io.EOF
		}
		q.rest = piece
	}
	n := copy(p, q.rest)
	q.rest = q.rest[n:]
	return n, nil
}

// send writes what a handshake has to send.
func (r *records) send(c *handshake.Conn) (over bool, err error) {
	over, err = c.Result()
	unsent := c.Unsent()
	if _, failed := r.conn.Write(unsent); failed != nil && err == nil {
		return true, failed
	}
	c.Sent(len(unsent))
	return over, err
}

func (r *records) Read(p []byte) (int, error) {
	for len(r.data) == 0 && r.err == nil {
		buf := make([]byte, 4096)
		if len(r.sealed) == 0 || !r.whole() {
			n, err := r.conn.Read(buf)
			if r.sealed = append(r.sealed, buf[:n]...); err != nil {
				if errors.Is(err, io.EOF) && len(r.sealed) > 0 {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
		}
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.data)
	if r.data = r.data[n:]; n == 0 {
		return 0, r.err
	}
	return n, nil
}

// whole tells whether sealed begins with a whole record.
func (r *records) whole() bool {
	n, ok := tlsrecord.Len(r.sealed)
	return ok && n <= len(r.sealed)
}

// open opens what has come, and answers it as a loop does.
func (r *records) open() error {
	data, used, err := r.state.Take(r.sealed)
	r.data, r.sealed, r.err = data, append([]byte(nil), r.sealed[used:]...), err
	var broken *tlsrecord.Error
	var answer []byte
	if errors.As(err, &broken) && !broken.ByPeer {
		answer = r.state.AppendAlert(nil, broken.Alert)
	} else {
		answer = r.state.AppendOwed(nil)
	}
	_, err = r.conn.Write(answer)
	return err
}

func (r *records) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		content := p[n:min(len(p), n+tlsrecord.MaxContent)]
		_, err = r.conn.Write(r.state.AppendData(nil, content))
		n += len(content)
	}
	return n, err
}

func (r *records) update() error {
	_, err := r.conn.Write(r.state.AppendKeyUpdate(nil, false))
	return err
}

func (r *records) CloseWrite() error {
	_, err := r.conn.Write(r.state.AppendAlert(nil, tlsrecord.CloseNotify))
	if err != nil {
		return fmt.Errorf("close_notify: %w", err)
	}
	return nil
}
