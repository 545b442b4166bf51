package server

import "millrace/internal/netpoll"

// peerOf returns the client of a connection, as far as it is known.
func (l *loop) peerOf(c *conn) netpoll.Peer {
	if p, ok := l.peers.m[c.id()]; ok {
		return p
	}
	return c.peer()
}
