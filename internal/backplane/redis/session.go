package redis

import (
	"context"
	"errors"
	"strings"
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

// asked is what a ping says that comes behind a batch of subscriptions: its answer
// comes when all of them are confirmed.
const asked = "asked"

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

// unsealed returns ctx for commands, whose connections are the pool's.
func unsealed(ctx context.Context) context.Context { return context.WithValue(ctx, sealed{}, nil) }

// listener takes in what the server says on a session's connection.
type listener interface {
	// begin is called before anything is asked for.
	begin(context.Context) error
	subscribed(channel string)
	unsubscribed(channel string)
	// settled is called when everything that had been asked for is confirmed.
	settled(context.Context) error
	message(name, payload string) error
}

// session holds one connection with subscriptions and returns why it has ended.
func (b *Backplane) session(ctx context.Context) error {
	seal := new(atomic.Bool)
	ctx, end := context.WithCancelCause(context.WithValue(ctx, sealed{}, seal))
	sub := b.client.Subscribe(ctx)
	var l listener = plain{b}
	var err error
	if b.history != nil {
		l = newKeeper(b, sub)
		err = sub.Subscribe(ctx, b.history.fence) // first: in a cluster, its name chooses the server
	}
	if err == nil {
		err = sub.Ping(ctx)
	}
	if err != nil {
		end(nil)
		sub.Close()
		return err
	}
	seal.Store(true)
	var others sync.WaitGroup
	others.Go(func() {
		<-ctx.Done()
		sub.Close() // which ends what waits for the server
	})
	if err := l.begin(ctx); err != nil {
		end(err)
	}
	others.Go(func() { end(b.ask(ctx, sub)) })
	for ctx.Err() == nil {
		if err := b.listen(ctx, sub, l); err != nil {
			end(err)
		}
	}
	others.Wait()
	return context.Cause(ctx)
}

// listen takes in one thing that the server says.
func (b *Backplane) listen(ctx context.Context, sub *redis.PubSub, l listener) error {
	said, err := sub.ReceiveTimeout(ctx, silence)
	if err != nil {
		return err
	}
	switch s := said.(type) {
	case *redis.Pong:
		b.Up()
		if s.Payload == asked {
			return l.settled(ctx)
		}
	case *redis.Subscription:
		channel, ok := strings.CutPrefix(s.Channel, b.prefix)
		switch {
		case !ok: // the fence
		case s.Kind == "subscribe":
			l.subscribed(channel)
		case s.Kind == "unsubscribe":
			l.unsubscribed(channel)
		}
	case *redis.Message:
		return l.message(s.Channel, s.Payload)
	}
	return nil
}

// ask subscribes to what the set wants, and pings, until ctx is done.
func (b *Backplane) ask(ctx context.Context, sub *redis.PubSub) error {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		ask, drop, again := b.Set.Next(batch)
		if len(drop) > 0 {
			if err := sub.Unsubscribe(ctx, b.names(drop)...); err != nil {
				return err
			}
		}
		if len(ask) > 0 {
			if err := b.subscribe(ctx, sub, ask); err != nil {
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
		case <-b.Set.Wake():
		case <-later:
		case <-ping.C:
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		}
	}
}

// subscribe asks for channels, and for an answer behind theirs.
func (b *Backplane) subscribe(ctx context.Context, sub *redis.PubSub, channels []string) error {
	if err := sub.Subscribe(ctx, b.names(channels)...); err != nil {
		return err
	}
	return sub.Ping(ctx, asked)
}

// names returns the names that channels have on the server.
func (b *Backplane) names(of []string) []string {
	names := make([]string, len(of))
	for i, channel := range of {
		names[i] = b.prefix + channel
	}
	return names
}

// plain listens in the plain form.
type plain struct{ *Backplane }

func (plain) begin(context.Context) error   { return nil }
func (p plain) subscribed(channel string)   { p.Confirm(channel) }
func (plain) unsubscribed(string)           {}
func (plain) settled(context.Context) error { return nil }

func (p plain) message(name, payload string) error {
	p.DeliverPayload(name[len(p.prefix):], []byte(payload))
	return nil
}
