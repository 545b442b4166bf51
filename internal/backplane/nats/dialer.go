package nats

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// dialer is a nats.CustomDialer whose connections are frames. It begins TLS itself: the
// client library would do so above the connection, where frames would see what is
// encrypted.
type dialer struct {
	dial   func(network, address string) (net.Conn, error)
	secure bool        // TLS, or nothing
	config *tls.Config // the name of the server is the host that is dialled
}

// SkipTLSHandshake tells the client library that TLS has begun.
func (d *dialer) SkipTLSHandshake() bool { return true }

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.dial(network, address)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(timeout))
	begun, err := d.begin(conn, address)
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return &frames{Conn: begun}, nil
}

// begin reads the INFO by which a server begins, and does the handshake of TLS if it or
// the URL asks for one. The connection that it returns has the INFO to be read again.
// Nothing that came before the handshake is taken for a part of what comes after it.
func (d *dialer) begin(conn net.Conn, address string) (net.Conn, error) {
	line, err := readLine(conn)
	if err != nil {
		return nil, err
	}
	var info nats.ServerInfo
	verb, text, _ := bytes.Cut(line, []byte(" "))
	if err := json.Unmarshal(text, &info); err != nil || string(verb) != "INFO" {
		return nil, fmt.Errorf("%w: it begins with %.64q, want INFO", errFrame, line)
	}
	told := &again{Conn: conn, begun: line}
	switch {
	case d.secure && !info.TLSRequired && !info.TLSAvailable:
		return nil, nats.ErrSecureConnWanted
	case !d.secure && !info.TLSRequired:
		return told, nil
	}
	config := d.config.Clone()
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		return nil, fmt.Errorf("%w: %w", nats.ErrTLS, err)
	}
	told.Conn = secured
	return told, nil
}

// readLine reads a line, and nothing that comes after it. Once for a connection, a byte
// at a time does.
func readLine(r io.Reader) (line []byte, err error) {
	var b [1]byte
	for b[0] != '\n' {
		if len(line) == maxLine {
			return nil, fmt.Errorf("%w: it begins with a line of more than %d bytes", errFrame, maxLine)
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		line = append(line, b[0])
	}
	return line, nil
}

// again is a connection that hands on first what has been read of it.
type again struct {
	net.Conn
	begun []byte
}

func (a *again) Read(p []byte) (int, error) {
	if len(a.begun) == 0 {
		return a.Conn.Read(p)
	}
	n := copy(p, a.begun)
	a.begun = a.begun[n:]
	return n, nil
}
