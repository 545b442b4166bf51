package redis

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// batch is how many channels one command subscribes to.
	batch = 512
	// pingPeriod is how often the server is asked for a sign of life, and silence
	// how long it may give none.
	pingPeriod, silence = 2 * time.Second, 7 * time.Second
)

// sealed is the key of a session's seal in its context, an atomic.Bool. The client
// would replace a connection that is lost without a word, and what was published
// meanwhile would be missed: once the seal is set, it cannot open another.
type sealed struct{}

var errSecondConnection = errors.New("the connection is lost")

// onConnect is called by the client for every connection.
func onConnect(ctx context.Context, _ *redis.Conn) error {
	if seal, ok := ctx.Value(sealed{}).(*atomic.Bool); ok && seal.Load() {
		return errSecondConnection
	}
	return nil
}

// session holds one connection with subscriptions and returns why it has ended.
func (b *Backplane) session(ctx context.Context) error {
	seal := new(atomic.Bool)
	ctx, end := context.WithCancelCause(context.WithValue(ctx, sealed{}, seal))
	sub := b.client.Subscribe(ctx)
	if err := sub.Ping(ctx); err != nil {
		end(nil)
		sub.Close()
		return err
	}
	seal.Store(true)
	var others sync.WaitGroup
	others.Go(func() { end(b.ask(ctx, sub)) })
	others.Go(func() {
		<-ctx.Done()
		sub.Close() // which ends what waits for the server
	})
	end(b.listen(ctx, sub))
	others.Wait()
	return context.Cause(ctx)
}

// ask subscribes to what the set wants, and pings, until ctx is done.
func (b *Backplane) ask(ctx context.Context, sub *redis.PubSub) error {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		ask, drop, again := b.set.Next(batch)
		if len(drop) > 0 {
			if err := sub.Unsubscribe(ctx, b.names(drop)...); err != nil {
				return err
			}
		}
		if len(ask) > 0 {
			if err := sub.Subscribe(ctx, b.names(ask)...); err != nil {
				return err
			}
		}
		if len(ask)+len(drop) > 0 {
			continue
		}
		var later <-chan time.Time
		if !again.IsZero() {
			later = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.set.Wake():
		case <-later:
		case <-ping.C:
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		}
	}
}

// listen takes in what the server says until the connection is lost.
func (b *Backplane) listen(ctx context.Context, sub *redis.PubSub) error {
	for {
		said, err := sub.ReceiveTimeout(ctx, silence)
		if err != nil {
			return err
		}
		switch s := said.(type) {
		case *redis.Pong:
			if b.Health() != nil {
				b.setHealth(nil)
				b.log.Info("connected to Redis", "server", b.server, "channels", b.set.Len())
			}
		case *redis.Subscription:
			if s.Kind == "subscribe" {
				b.confirm(s.Channel)
			}
		case *redis.Message:
			b.deliver(s.Channel, s.Payload)
		}
	}
}

// confirm tells that everything published on a channel comes from here on.
func (b *Backplane) confirm(name string) {
	channel := name[len(b.prefix):]
	since := b.broker.Head()
	if b.set.Confirm(channel, since) {
		b.broker.Followed(since, channel)
	}
}

// names returns the names that channels have on the server.
func (b *Backplane) names(of []string) []string {
	if b.prefix == "" {
		return of
	}
	names := make([]string, len(of))
	for i, channel := range of {
		names[i] = b.prefix + channel
	}
	return names
}
