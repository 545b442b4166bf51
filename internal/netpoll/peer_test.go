package netpoll

import (
	"net/netip"
	"testing"
)

// Ensure that peers are told as others know them.
func TestPeerText(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:65535", "[2001:db8::1]:0", "127.0.0.1:80"} {
		if got := PeerAt(netip.MustParseAddrPort(addr)).String(); got != addr {
			t.Errorf("%s is told as %s", addr, got)
		}
	}
	if got := PeerAt(netip.MustParseAddrPort("[::ffff:192.0.2.1]:7")).String(); got != "192.0.2.1:7" {
		t.Errorf("a mapped address is told as %s", got)
	}
}
