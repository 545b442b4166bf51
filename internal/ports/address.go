// Package ports has what the ports share: which addresses they take, how they go on when
// accept(2) fails, and which connection they end when they are full.
//
// [CheckAddress] tells an invalid address from one that cannot be found.
// [Pauses] say how long a listener waits before it tries again; the event loops keep
// them by their timers, and a [Steady] listener is for everybody else. [Places] are the
// connections of a port that net/http serves.
package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// ErrAddress is wrapped by every refusal of an address for its form.
var ErrAddress = errors.New("bad address")

// CheckAddress reports why addr is not of the form host:port, with a port or the name
// of one. An empty host is every address; an empty port, which would be any free one
// of all interfaces, is refused. Whether there is such a host is not looked up.
func CheckAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return fmt.Errorf("%w %q, want HOST:PORT or :PORT", ErrAddress, addr)
	case port == "":
		return fmt.Errorf("%w %q without a port, want HOST:PORT; port 0 picks a free one", ErrAddress, addr)
	}
	if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil {
		return fmt.Errorf("%w %q, want a port from 0 to 65535", ErrAddress, addr)
	}
	return nil
}

// Resolve returns the address that addr means. Errors wrap ErrAddress, or say that the
// host cannot be found, which may pass.
func Resolve(addr string) (*net.TCPAddr, error) {
	if err := CheckAddress(addr); err != nil {
		return nil, err
	}
	return net.ResolveTCPAddr("tcp", addr)
}
