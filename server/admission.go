package server

import (
	"errors"
	"log/slog"
	"net/netip"

	"millrace/internal/netpoll"
	"millrace/internal/proxyproto"
)

// welcome takes in a client that has connected.
func (l *loop) welcome(c *conn, from netpoll.Peer) result {
	if l.cfg.keepsPeers() {
		l.peers.set(c.id(), from)
	}
	switch {
	case !l.cfg.ProxyProtocol:
		return l.admit(c, from, true)
	case !l.cfg.isTrusted(from.AddrPort().Addr()):
		return l.drop(c, from, reasonNoProxy, "want a proxy of the trusted ones")
	}
	c.state = stateProxy
	return sent
}

// readProxy takes in the header in which a proxy names the client. It returns
// its length, or 0 when the rest of it is awaited or the connection has been ended.
func (l *loop) readProxy(c *conn, head []byte) (length int, awaited bool) {
	client, length, err := proxyproto.Parse(head)
	switch {
	case errors.Is(err, proxyproto.ErrNeedMore):
		l.keepHead(c, head)
		return 0, true
	case err != nil:
		l.drop(c, l.peers.m[c.id()], reasonProxyHeader, err.Error())
		return 0, false
	}
	c.state = stateHead
	if c.flags.is(secure) {
		c.state = stateHello
	}
	named := client.IsValid()
	if named {
		l.peers.set(c.id(), netpoll.PeerAt(client))
	}
	if l.admit(c, l.peers.m[c.id()], named) == ended {
		return 0, false
	}
	return length, false
}

// drop ends a connection without an answer.
func (l *loop) drop(c *conn, from netpoll.Peer, why reason, detail string) result {
	if l.mayNotice(why.String()) {
		l.server.log(slog.LevelWarn, "a connection is closed without an answer", "reason", why.String(), "peer", from.String(), "detail", detail)
	}
	l.end(c, why)
	return ended
}

// keepsPeers tells whether loops keep the addresses of their clients: for the
// log, and where the kernel does not know them.
func (cfg *Config) keepsPeers() bool { return cfg.LogConnections || cfg.ProxyProtocol }

// isTrusted tells whether a proxy at addr may name clients.
func (cfg *Config) isTrusted(addr netip.Addr) bool {
	for _, prefix := range cfg.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// peerOf returns the client of a connection, as far as it is known.
func (l *loop) peerOf(c *conn) netpoll.Peer {
	if p, ok := l.peers.m[c.id()]; ok {
		return p
	}
	return c.peer()
}
