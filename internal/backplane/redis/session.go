package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/internal/backplane/envelope"
	"millrace/internal/backplane/link"
)

// silence is how long the server may give no sign of life, for which it is asked by
// pings.
const silence = 7 * time.Second

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

// session is one connection with subscriptions.
type session struct {
	*Backplane
	sub    *redis.PubSub
	keeper *link.Keeper // nil in the plain form
}

// session holds one connection with subscriptions and returns why it has ended.
func (b *Backplane) session(ctx context.Context) error {
	seal := new(atomic.Bool)
	ctx, end := context.WithCancelCause(context.WithValue(ctx, sealed{}, seal))
	s := &session{Backplane: b, sub: b.client.Subscribe(ctx)}
	var err error
	if b.history != nil {
		s.keeper = link.NewKeeper(b.Link, s)
		err = s.sub.Subscribe(ctx, b.history.fence) // first: in a cluster, its name chooses the server
	}
	if err == nil {
		err = s.sub.Ping(ctx)
	}
	if err != nil {
		end(nil)
		s.sub.Close()
		return err
	}
	seal.Store(true)
	var others sync.WaitGroup
	others.Go(func() {
		<-ctx.Done()
		s.sub.Close() // which ends what waits for the server
	})
	if s.keeper != nil {
		if err := s.keeper.Begin(ctx); err != nil {
			end(err)
		}
	}
	others.Go(func() { end(b.Ask(ctx, s)) })
	for ctx.Err() == nil {
		if err := s.Listen(ctx); err != nil {
			end(err)
		}
	}
	others.Wait()
	return context.Cause(ctx)
}

// Listen implements link.History.
func (s *session) Listen(ctx context.Context) error {
	said, err := s.sub.ReceiveTimeout(ctx, silence)
	if err != nil {
		return err
	}
	switch what := said.(type) {
	case *redis.Pong:
		s.Up()
		if what.Payload == asked && s.keeper != nil {
			return s.keeper.Settled(ctx)
		}
	case *redis.Subscription:
		if channel, ok := strings.CutPrefix(what.Channel, s.prefix); ok { // else it is the fence
			s.answered(what.Kind, channel)
		}
	case *redis.Message:
		return s.message(what.Channel, what.Payload)
	}
	return nil
}

// answered takes in that the server has subscribed to a channel, or no longer is.
func (s *session) answered(kind, channel string) {
	switch {
	case kind == "subscribe" && s.keeper == nil:
		s.Confirm(channel)
	case kind == "subscribe":
		s.keeper.Subscribed(channel)
	case s.keeper != nil:
		s.keeper.Unsubscribed(channel)
	}
}

// message takes in what was published, or the fence of a snapshot.
func (s *session) message(name, payload string) error {
	switch {
	case s.keeper == nil:
		s.DeliverPayload(name[len(s.prefix):], []byte(payload))
		return nil
	case name == s.history.fence:
		seq, err := strconv.ParseUint(payload, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: the fence says %.64q", errReply, payload)
		}
		s.keeper.Fence(seq)
		return nil
	}
	m, payload, err := parseAnnouncement(payload)
	if err == nil {
		m.Event, err = envelope.Parse([]byte(payload))
	}
	m.Channel = name[len(s.prefix):]
	return s.keeper.Message(m, err)
}

// Snapshot implements link.History.
func (s *session) Snapshot(ctx context.Context, since uint64, names []string) (link.Snapshot, error) {
	return s.history.snapshot(unsealed(ctx), s.client, s.Broker.Head(), since, names)
}

// Subscribe implements link.Asker and link.History. It asks for an answer behind
// those of the channels, too.
func (s *session) Subscribe(ctx context.Context, names []string) error {
	if err := s.sub.Subscribe(ctx, s.names(names)...); err != nil {
		return err
	}
	return s.sub.Ping(ctx, asked)
}

// Unsubscribe implements link.Asker.
func (s *session) Unsubscribe(ctx context.Context, names []string) error {
	return s.sub.Unsubscribe(ctx, s.names(names)...)
}

// Ping implements link.Asker.
func (s *session) Ping(ctx context.Context) error { return s.sub.Ping(ctx) }

// names returns the names that channels have on the server.
func (b *Backplane) names(of []string) []string {
	names := make([]string, len(of))
	for i, channel := range of {
		names[i] = b.prefix + channel
	}
	return names
}
