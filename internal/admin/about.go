package admin

import (
	"fmt"
	"time"

	"millrace/internal/resp"
)

// about has the facts that other connections may know of one.
type about struct {
	authenticated             bool
	version                   resp.Version
	name, libName, libVersion string
	channels, patterns        int // subscriptions
	shards                    int
	queued                    int // commands of a transaction, -1 without one
}

// show makes changes known. It is called before a reply leaves that tells of one.
func (c *conn) show() {
	now := about{
		authenticated: c.authenticated && c.secured,
		version:       c.version,
		name:          c.name, libName: c.libName, libVersion: c.libVersion,
		channels: len(c.subscriptions.channels), patterns: len(c.subscriptions.patterns), shards: len(c.subscriptions.shards),
		queued: c.transaction.queued(),
	}
	if before := c.known.Load(); before == nil || *before != now {
		c.known.Store(&now)
	}
}

// touch notes that something has come.
func (c *conn) touch() { c.used.Store(int64(time.Since(c.server.began))) }

// idle returns for how long nothing has come. Safe for concurrent use.
func (c *conn) idle() time.Duration {
	return time.Since(c.server.began) - time.Duration(c.used.Load())
}

// appendAbout appends a line of CLIENT LIST, with those of Redis's fields that mean
// something here. Safe for concurrent use.
func (c *conn) appendAbout(dst []byte) []byte {
	a := c.known.Load()
	flags := "N"
	if a.subscribed() {
		flags = "P"
	} else if a.queued >= 0 {
		flags = "x"
	}
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d ssub=%d multi=%d "+
		"user=default resp=%d lib-name=%s lib-ver=%s\n",
		c.id, c.nc.RemoteAddr(), c.nc.LocalAddr(), a.name, int(time.Since(c.began).Seconds()), int(c.idle().Seconds()), flags,
		a.channels, a.patterns, a.shards, a.queued, a.version, a.libName, a.libVersion)
}

func (a *about) subscribed() bool { return a.channels+a.patterns+a.shards > 0 }
