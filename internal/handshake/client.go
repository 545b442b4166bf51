package handshake

import "crypto/tls"

// Client makes handshakes from the other end, for clients that hold many connections, as
// those of a load test do. Safe for concurrent use.
type Client struct {
	pool
	base *tls.Config
}

// NewClient returns a client whose handshakes are made by cfg, of which so many compute at a
// time. They are of TLS 1.3, and ask for no session ticket.
func NewClient(cfg *tls.Config, computing int) *Client {
	c := &Client{base: cfg.Clone()}
	c.tokens = make(chan struct{}, max(computing, 1))
	c.base.MinVersion = tls.VersionTLS13
	c.base.ClientSessionCache = nil
	return c
}

// Start is as [Server.Start], with the server at the other end. There is something Unsent as
// soon as notify is called for the first time.
func (cl *Client) Start(id int32, notify func(*Conn)) *Conn {
	c := &Conn{ID: id, pool: &cl.pool, notify: notify, client: true}
	cfg := cl.base.Clone()
	cfg.KeyLogWriter = &c.keys
	c.start(tls.Client(&memory{c: c}, cfg))
	return c
}
