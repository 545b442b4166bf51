package bench

import (
	"fmt"
	"strconv"
	"strings"
)

// Protocol is how the streams of a server are opened.
type Protocol string

// The protocols, as they stand after the + in the name of a server.
const (
	Plain Protocol = ""     // HTTP/1.1 in the clear
	TLS   Protocol = "tls"  // HTTP/1.1 over TLS
	H2    Protocol = "h2"   // HTTP/2 over TLS
	Gzip  Protocol = "gzip" // HTTP/1.1 in the clear, with the content coding gzip
)

// isSecure tells whether connections have TLS.
func (p Protocol) isSecure() bool { return p == TLS || p == H2 }

// maxPerConnection is how many streams of HTTP/2 may share a connection: as many as servers
// usually allow.
const maxPerConnection = 100

// splitName returns what a server's full name says: millrace+h2x6 is millrace over HTTP/2 with
// six streams a connection.
func splitName(name string) (kind string, p Protocol, perConnection int, err error) {
	kind, protocol, _ := strings.Cut(name, "+")
	switch number, shared := strings.CutPrefix(protocol, string(H2)+"x"); {
	case shared:
		perConnection, err = strconv.Atoi(number)
		p = H2
	default:
		p, perConnection = Protocol(protocol), 1
	}
	if p != Plain && p != TLS && p != H2 && p != Gzip || err != nil || perConnection < 1 || perConnection > maxPerConnection {
		return "", "", 0, fmt.Errorf("%w: server %q, want its kind alone, or +tls, +gzip, +h2 or +h2xN after it, with N streams a connection from 1 to %d", ErrConfig, name, maxPerConnection)
	}
	return kind, p, perConnection, nil
}
