package server

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// hosts are the names that the server answers to; none for any. A page of another
// site whose name resolves to this server (DNS rebinding) is told apart by the name
// in its requests.
type hosts []string

// match tells whether the Host of a request is one of h: by name, in any case,
// with any port or none.
func (h hosts) match(host []byte) bool {
	if len(h) == 0 {
		return true
	}
	name := hostName(host)
	return slices.ContainsFunc(h, func(want string) bool {
		if suffix, isWildcard := strings.CutPrefix(want, "*"); isWildcard {
			return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
		}
		return name == want
	})
}

// checkHost reports why host is no name that a request could have, as it is to be
// written here: in lower case, without a port, perhaps with "*." before it for all
// subdomains.
func checkHost(host string) error {
	name := strings.TrimPrefix(host, "*.")
	if addr, err := netip.ParseAddr(name); err == nil && addr.String() == host && addr.Zone() == "" {
		return nil
	}
	if !isDNSName(name) {
		return fmt.Errorf("%w: host %q, want a name such as events.example.org or *.example.org, in lower case (xn--... for other alphabets), or an address, without a port", ErrConfig, host)
	}
	return nil
}
