package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

var errTooMuch = errors.New("the client sends more than a handshake has")

// errHandover is wrapped by the errors of what rests on how crypto/tls works.
var errHandover = errors.New("the keys of the handshake are not what they should be")

// ErrNoCertificate is to be wrapped by what Config.Certificate returns.
var ErrNoCertificate = errors.New("no certificate")

// Failure is a kind of failure, as a label of metrics.
type Failure string

const (
	Version     Failure = "version"     // the client does not speak TLS 1.3
	Garbage     Failure = "garbage"     // what came is no TLS
	Refused     Failure = "refused"     // by the client, with an alert: it does not trust the certificate, say
	Left        Failure = "left"        // the client closed the connection
	Certificate Failure = "certificate" // there is none
	Protocol    Failure = "protocol"    // anything else that the client did, no common algorithm among it
	Handover    Failure = "handover"    // what crypto/tls has logged or written is not as expected
)

// Failures are all of them.
var Failures = []Failure{Version, Garbage, Refused, Left, Certificate, Protocol, Handover}

// Why returns what kind of failure the error of Result is.
func (c *Conn) Why(err error) Failure {
	var header tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.Is(err, ErrNoCertificate):
		return Certificate
	case errors.As(err, &header) && !c.hello.seen:
		return Garbage
	case errors.As(err, &alert) && alert.Op == "remote error":
		return Refused
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF):
		return Left
	case c.hello.seen && !c.hello.tls13:
		return Version
	case errors.Is(err, errHandover):
		return Handover
	}
	return Protocol
}
