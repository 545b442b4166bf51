package handshake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
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
	Plain       Failure = "plain"       // a request in the clear
	Garbage     Failure = "garbage"     // what came is neither
	Refused     Failure = "refused"     // by the client, with an alert: it does not trust the certificate, say
	Left        Failure = "left"        // the client closed the connection
	Timeout     Failure = "timeout"     // it was not over in time
	Certificate Failure = "certificate" // there is none
	Protocol    Failure = "protocol"    // anything else that the client did, no common algorithm among it
	Handover    Failure = "handover"    // what crypto/tls has logged or written is not as expected
	Panic       Failure = "panic"       // crypto/tls, or what chooses certificates, has a fault
)

// Failures are all of them.
var Failures = [...]Failure{Version, Plain, Garbage, Refused, Left, Timeout, Certificate, Protocol, Handover, Panic}

// PanicError is the error of a handshake in which something has panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Catch makes a panic the error of one handshake: the process and its streams go on. It is
// to be deferred.
func Catch(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{v, debug.Stack()}
	}
}

// Hello is what is known of a client's first message. The zero value is of one that has not
// come.
type Hello struct{ seen, tls13 bool }

// HelloOf returns what crypto/tls tells of a message that has come.
func HelloOf(info *tls.ClientHelloInfo) Hello {
	return Hello{seen: true, tls13: slices.Contains(info.SupportedVersions, tls.VersionTLS13)}
}

// Why returns what kind of failure the error of Result is.
func (c *Conn) Why(err error) Failure { return c.hello.Why(err) }

// Why returns what kind of failure the error of a handshake with that client is.
func (h Hello) Why(err error) Failure {
	var header tls.RecordHeaderError
	var alert *net.OpError
	var panicked *PanicError
	switch {
	case errors.As(err, &panicked):
		return Panic
	case errors.Is(err, ErrNoCertificate):
		return Certificate
	case errors.As(err, &header) && !h.seen:
		return Garbage
	case errors.As(err, &alert) && alert.Op == "remote error":
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF):
		return Left
	case h.seen && !h.tls13:
		return Version
	case errors.Is(err, errHandover):
		return Handover
	}
	return Protocol
}
