// Package redis links nodes by a Redis server, in one of two forms.
//
// The plain form is that of Action Cable's Redis adapter: PUBLISH of the data on
// the channel's name, with a prefix where one is set. Redis keeps nothing, and when
// the connection was lost, streams are told that they may have missed something.
//
// With history=streams a Redis Stream for each channel keeps its newest messages
// (see history.go), and a client that comes back to any node gets everything that is
// still there.
//
// In both, a [Backplane] holds one connection for its subscriptions, and a pool for
// everything else.
package redis

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/link"
)

// timeout bounds how long a command may take, Publish above all.
const timeout = 3 * time.Second

// Options of a Backplane.
type Options struct {
	// Prefix stands before every channel's name, with a colon, unless it is empty.
	Prefix string
	// History and HistoryTTL bound the messages that a channel's stream keeps: their
	// number and their age, 0 for any.
	History    int
	HistoryTTL time.Duration
	// Logger is the backplane's; nil is slog.Default().
	Logger *slog.Logger
}

// Backplane is a channels.Backplane over a Redis server.
type Backplane struct {
	*link.Link
	client  redis.UniversalClient
	prefix  string   // of the names that it subscribes to
	history *history // nil in the plain form
}

// Open checks u and returns a backplane that has yet to be started. It connects
// to nothing.
func Open(u *url.URL, o Options) (*Backplane, error) {
	form, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	b := &Backplane{Link: link.New("Redis", u, o.Logger), client: form.client, prefix: o.Prefix}
	if b.prefix != "" {
		b.prefix += ":"
	}
	if form.history {
		b.history = newHistory(b.prefix, form.database, o)
		b.prefix = b.history.streams
	}
	if cluster, ok := form.client.(*redis.ClusterClient); ok && !form.history {
		b.Ways = func(ctx context.Context) ([]func([]byte) error, error) { return b.ways(ctx, cluster) }
	} else {
		b.Ordered = true
	}
	return b, nil
}

// Start connects to the server and delivers to the feed of a broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(feed channels.Feed) { b.Link.Start(feed, b.session) }

// Close ends the session, if Start was called, and closes all connections.
func (b *Backplane) Close() error {
	b.Link.Close()
	return b.client.Close()
}
