package server

import (
	"bytes"
	"net/netip"
	"slices"

	"millrace/httpparse"
	"millrace/internal/auth"
)

// takeForwarded takes from the X-Forwarded headers of a trusted proxy how the client has
// reached it: over TLS or not, by which host name, from which address. Of anybody else they
// mean nothing. With the PROXY protocol they may have passed the proxy as the client sent
// them, so only that there is TLS before it is believed, and the header names the client.
func (l *loop) takeForwarded(request *auth.Request, r *httpparse.Request, from netip.Addr) {
	if !l.cfg.ProxyProtocol && !l.cfg.isTrusted(from) {
		return
	}
	endsHere := l.cfg.ProxyProtocol && request.Secure // the client's own TLS
	if proto, ok := r.Get("X-Forwarded-Proto"); ok && !endsHere {
		request.Secure = string(proto) == "https"
	}
	if l.cfg.ProxyProtocol {
		return
	}
	if host, ok := r.Get("X-Forwarded-Host"); ok && httpparse.ValidHost(host) && hosts(l.cfg.Hosts).match(host) {
		request.Host = string(host)
	}
	request.Client = l.cfg.forwardedFor(r, from)
}

// forwardedFor returns the client's address: of those in X-Forwarded-For the last that is no
// trusted proxy. What stands before it, or is no address, anybody may have written.
func (cfg *Config) forwardedFor(r *httpparse.Request, client netip.Addr) netip.Addr {
	for _, value := range slices.Backward(slices.Collect(r.Values("X-Forwarded-For"))) {
		for more := true; more; {
			i := bytes.LastIndexByte(value, ',') // from the end: a client may have sent thousands
			addr, err := netip.ParseAddr(string(bytes.TrimSpace(value[i+1:])))
			if err != nil || !cfg.isTrusted(client) {
				return client
			}
			client, value, more = addr.Unmap(), value[:max(i, 0)], i >= 0
		}
	}
	return client
}
