// Package redis links nodes by a Redis server, in the form that Action Cable's
// Redis adapter gives its broadcasts: PUBLISH of the data on the channel's name,
// with a prefix where one is set.
//
// A [Backplane] holds one connection for its subscriptions and a pool for what it
// publishes. When the connection is lost, it is made anew after a moment, all
// channels are subscribed to again, and their streams are told that they may have
// missed something.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
	"millrace/internal/backplane/follow"
)

const (
	// publishTimeout bounds how long Publish takes.
	publishTimeout = 3 * time.Second
	// firstDelay and lastDelay bound the time between two attempts to connect.
	firstDelay, lastDelay = 50 * time.Millisecond, 3 * time.Second
)

// Options of a Backplane.
type Options struct {
	// Prefix stands before every channel's name, with a colon, unless it is empty.
	Prefix string
	// Logger takes what the backplane has to say; nil is slog.Default().
	Logger *slog.Logger
}

// Backplane is a channels.Backplane over a Redis server.
type Backplane struct {
	client redis.UniversalClient
	server string // for people
	prefix string
	log    *slog.Logger
	set    *follow.Set
	broker *channels.Broker

	health  atomic.Pointer[error]
	stop    context.CancelFunc
	running sync.WaitGroup
}

var errNotYet = errors.New("no connection yet")

// Open checks u and returns a backplane that has yet to be started. It connects
// to nothing.
func Open(u *url.URL, o Options) (*Backplane, error) {
	client, err := newClient(u)
	if err != nil {
		return nil, err
	}
	b := &Backplane{client: client, server: u.Redacted(), prefix: o.Prefix, log: o.Logger, set: follow.NewSet(follow.DefaultLinger)}
	if b.prefix != "" {
		b.prefix += ":"
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.setHealth(errNotYet)
	return b, nil
}

// Start connects to the server and delivers to broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(broker *channels.Broker) {
	b.broker = broker
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.running.Go(func() { b.run(ctx) })
}

// Close ends what Start has begun, if it has, and closes all connections.
func (b *Backplane) Close() error {
	if b.stop != nil {
		b.stop()
		b.running.Wait()
	}
	return b.client.Close()
}

// Publish implements channels.Backplane.
func (b *Backplane) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := b.client.Publish(ctx, b.prefix+channel, envelope.Append(nil, ev)).Err(); err != nil {
		return channels.Receipt{}, fmt.Errorf("the event may not have been published: %w", err)
	}
	return channels.Receipt{Receivers: b.broker.Subscribers(channel)}, nil
}

// Follow implements channels.Backplane.
func (b *Backplane) Follow(channel string) (since uint64, ready bool) { return b.set.Follow(channel) }

// Unfollow implements channels.Backplane.
func (b *Backplane) Unfollow(channel string) { b.set.Unfollow(channel) }

// Health implements channels.Backplane.
func (b *Backplane) Health() error { return *b.health.Load() }

func (b *Backplane) setHealth(err error) { b.health.Store(&err) }

// run keeps a session open until ctx is done.
func (b *Backplane) run(ctx context.Context) {
	delay := firstDelay
	for {
		err := b.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if b.Health() == nil {
			delay = firstDelay
		}
		if b.Health() == nil || b.Health() == errNotYet {
			b.log.Error("the connection to Redis is lost", "server", b.server, "error", err)
		}
		b.setHealth(fmt.Errorf("redis: %w", err))
		b.set.Reset()
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay/2 + rand.N(delay)): // so that many nodes do not come back at once
		}
		delay = min(2*delay, lastDelay)
	}
}

// deliver hands on what came on a subscribed channel.
func (b *Backplane) deliver(name, payload string) {
	channel := strings.TrimPrefix(name, b.prefix)
	ev, err := envelope.Parse([]byte(payload))
	if err == nil {
		err = b.broker.Check(channel, ev)
	}
	if err == nil {
		_, err = b.broker.Deliver(channel, ev)
	}
	if err != nil {
		b.log.Error("a message from Redis cannot be delivered: its subscribers are told of a gap", "channel", channel, "error", err)
		b.broker.Interrupted(channel)
	}
}
