// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2,
// by which a proxy says whose connection it passes on: strictly, without I/O,
// without allocation.
//
// The verdict of [Parse] is a function of the bytes alone, not of how they were
// cut into reads, and bytes after the header have no part in it. Addresses are
// looked at once the header is complete; garbage is refused as soon as it cannot
// become a header. Sections are those of HAProxy's proxy-protocol.txt of 2020,
// the document that defines the protocol.
package proxyproto

import (
	"bytes"
	"errors"
	"net/netip"
)

// MaxBytes is the length of a header at most, whatever it announces: room for
// the fields that proxies add, and as much as nginx takes.
const MaxBytes = 4096

// Refusals are final: more bytes will not change them.
var (
	ErrNoHeader = errors.New("not a PROXY header")
	ErrVersion  = errors.New("PROXY header of a version that is neither 1 nor 2")
	ErrLine     = errors.New("PROXY line is not a protocol, two addresses and two ports between single spaces, and CRLF")
	ErrLineLong = errors.New("PROXY line is longer than 107 bytes")
	ErrAddress  = errors.New("PROXY line with an address that is none of its protocol")
	ErrPort     = errors.New("PROXY line with a port that is no number from 0 to 65535")
	ErrCommand  = errors.New("PROXY header with a command that is neither LOCAL nor PROXY")
	ErrFamily   = errors.New("PROXY header with an unknown address family or transport")
	ErrShort    = errors.New("PROXY header without room for its addresses")
	ErrLong     = errors.New("PROXY header longer than 4096 bytes")
)

// ErrNeedMore says that the header is good so far and not complete.
var ErrNeedMore = errors.New("incomplete PROXY header")

// Parse judges the header at the start of buf. It returns the client's address
// and the length of the header; or ErrNeedMore, and wants to be called again
// with the same bytes and more; or why there is no header.
//
// The client is the zero AddrPort when the header names none that came by TCP:
// the connection is the proxy's own (LOCAL, as health checks are), or the proxy
// does not know or cannot say (UNKNOWN, UNSPEC, UNIX, UDP).
func Parse(buf []byte) (client netip.AddrPort, n int, err error) {
	switch {
	case len(buf) == 0:
		return client, 0, ErrNeedMore
	case buf[0] == v1Signature[0]:
		return parseV1(buf)
	default:
		return parseV2(buf)
	}
}

// begins tells whether buf begins with signature. It returns ErrNeedMore while
// that is open.
func begins(buf []byte, signature string) error {
	n := min(len(buf), len(signature))
	switch {
	case !bytes.Equal(buf[:n], []byte(signature)[:n]):
		return ErrNoHeader
	case n < len(signature):
		return ErrNeedMore
	}
	return nil
}
