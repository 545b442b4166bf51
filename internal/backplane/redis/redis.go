// Package redis links nodes by a Redis server, in one of two forms.
//
// The plain form is that of Action Cable's Redis adapter: PUBLISH of the data on
// the channel's name, with a prefix where one is set. Redis keeps nothing, and when
// the connection was lost, streams are told that they may have missed something.
//
// With history=streams a Redis Stream for each channel keeps its newest messages
// (see history.go), and nobody misses anything that is still there, whichever node
// it comes back to.
//
// In both, a [Backplane] holds one connection for its subscriptions, and a pool for
// everything else.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
	"millrace/internal/backplane/link"
)

// timeout bounds how long a command may take, Publish above all.
const timeout = 3 * time.Second

var errNotPublished = errors.New("the event was not published")

// Options of a Backplane.
type Options struct {
	// Prefix stands before every channel's name, with a colon, unless it is empty.
	Prefix string
	// History and HistoryTTL bound what a channel's stream keeps: the number of its
	// messages and their age, 0 for any.
	History    int
	HistoryTTL time.Duration
	// Logger takes what the backplane has to say; nil is slog.Default().
	Logger *slog.Logger
}

// Backplane is a channels.Backplane over a Redis server.
type Backplane struct {
	*link.Link
	client  redis.UniversalClient
	prefix  string   // of what is subscribed to
	history *history // nil in the plain form
}

// Open checks u and returns a backplane that has yet to be started. It connects
// to nothing.
func Open(u *url.URL, o Options) (*Backplane, error) {
	form, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	b := &Backplane{Link: link.New("Redis", u.Redacted(), o.Logger), client: form.client, prefix: o.Prefix}
	if b.prefix != "" {
		b.prefix += ":"
	}
	if form.history {
		b.history = newHistory(b.prefix, form.database, o)
		b.prefix = b.history.streams
	}
	return b, nil
}

// Start connects to the server and delivers to broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(broker *channels.Broker) { b.Link.Start(broker, b.session) }

// Close ends what Start has begun, if it has, and closes all connections.
func (b *Backplane) Close() error {
	b.Link.Close()
	return b.client.Close()
}

// Publish implements channels.Backplane.
func (b *Backplane) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	if err := b.Down(); err != nil {
		return channels.Receipt{}, fmt.Errorf("%w: %w", errNotPublished, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	payload := envelope.Append(nil, ev)
	var receipt channels.Receipt
	var err error
	if b.history != nil {
		receipt.Epoch, receipt.Seq, err = b.history.add(ctx, b.client, channel, payload)
	} else {
		err = b.publish(ctx, b.prefix+channel, payload)
	}
	switch {
	case fromServer(err):
		return channels.Receipt{}, fmt.Errorf("%w: Redis: %w", errNotPublished, err)
	case err != nil:
		return channels.Receipt{}, fmt.Errorf("the event may not have been published: %w", err)
	}
	receipt.Receivers = b.Broker.Subscribers(channel)
	return receipt, nil
}

// publish is Publish in the plain form. In a cluster, every message on a name goes
// through one server, which gives them an order.
func (b *Backplane) publish(ctx context.Context, name string, payload []byte) error {
	cluster, ok := b.client.(*redis.ClusterClient)
	if !ok {
		return b.client.Publish(ctx, name, payload).Err()
	}
	server, err := cluster.MasterForKey(ctx, name)
	if err != nil {
		return err
	}
	if err := server.Publish(ctx, name, payload).Err(); err != nil {
		cluster.ReloadState(ctx) // perhaps it is another one now
		return err
	}
	return nil
}
