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

// sealed is the key of a session's seal in its context, an atomic.Bool. The client would
// replace a lost connection in silence, and the messages of that time would be missed:
// once the seal is set, it cannot open another connection.
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
	sub       *redis.PubSub
	keeper    *link.Keeper // nil in the plain form
	asking    sync.Mutex   // held from a note in questions until it is asked
	questions questions
}

// session holds one connection with subscriptions and returns why it has ended.
func (b *Backplane) session(ctx context.Context) error {
	seal := new(atomic.Bool)
	ctx, end := context.WithCancelCause(context.WithValue(ctx, sealed{}, seal))
	s := &session{Backplane: b, sub: b.client.Subscribe(ctx)}
	var others sync.WaitGroup
	defer others.Wait()
	defer end(nil)
	others.Go(func() {
		<-ctx.Done()
		s.sub.Close() // which ends a wait for the server
	})
	if err := s.open(ctx); err != nil {
		return err
	}
	seal.Store(true)
	if s.keeper != nil {
		if err := s.keeper.Recover(ctx); err != nil {
			return err
		}
	}
	others.Go(func() { end(b.Ask(ctx, s)) })
	others.Go(func() { end(link.Pulse(ctx, s.ping)) })
	for ctx.Err() == nil {
		if err := s.Listen(ctx); err != nil {
			end(err)
		}
	}
	return context.Cause(ctx)
}

// open connects, and asks for the fence, where there is one, and a sign of life.
func (s *session) open(ctx context.Context) error {
	if s.history != nil {
		s.keeper = link.NewKeeper(s.Link, s)
		s.questions.ask("subscribe", 1, nil)
		if err := s.sub.Subscribe(ctx, s.history.fence); err != nil { // first: in a cluster, its name chooses the server
			return err
		}
	}
	return s.ping(ctx)
}

// Listen implements link.History.
func (s *session) Listen(ctx context.Context) error {
	said, err := s.sub.ReceiveTimeout(ctx, silence)
	if err != nil {
		return s.failed(ctx, err)
	}
	s.Alive()
	switch what := said.(type) {
	case *redis.Pong:
		if _, _, err := s.questions.answer("pong"); err != nil {
			return err
		}
		s.Up()
	case *redis.Subscription:
		return s.answered(ctx, what.Kind, what.Channel)
	case *redis.Message:
		return s.message(what.Channel, what.Payload)
	}
	return nil
}

// failed takes in an error: most often the connection is lost, or else the server has
// refused something, which it returns nil for.
func (s *session) failed(ctx context.Context, err error) error {
	if !fromServer(err) {
		return err
	}
	s.Alive()
	asked, ok := s.questions.refuse()
	switch {
	case !ok:
		return fmt.Errorf("%w: %w", errReply, err)
	case asked.kind == "pong" && (readsOnly(err) || isBusy(err)):
		s.Up() // it lives
		return nil
	case asked.kind == "subscribe" && len(asked.names) > 0 && isBusy(err):
		if err := pause(ctx); err != nil {
			return err
		}
		return s.Subscribe(ctx, asked.names)
	case asked.kind != "subscribe" || len(asked.names) == 0 || !refusesNames(err):
		return err
	case s.keeper != nil:
		s.keeper.Refused(err, asked.names...)
	default:
		s.Refuse(err, asked.names...)
	}
	return nil
}

// answered takes in that the server has subscribed to a name, or no longer is.
func (s *session) answered(ctx context.Context, kind, name string) error {
	asked, last, err := s.questions.answer(kind)
	if err != nil || len(asked.names) == 0 { // or it is the fence
		return err
	}
	channel, ok := strings.CutPrefix(name, s.prefix)
	switch {
	case !ok:
		return fmt.Errorf("%w: %s of %.64q", errReply, kind, name)
	case kind == "subscribe" && s.keeper == nil:
		s.Confirm(channel)
	case kind == "subscribe":
		if s.keeper.Subscribed(channel); last {
			return s.keeper.Settled(ctx)
		}
	case s.keeper != nil:
		s.keeper.Unsubscribed(channel)
	}
	return nil
}

// message takes in a message, or the fence of a snapshot.
func (s *session) message(name, payload string) error {
	channel, ok := strings.CutPrefix(name, s.prefix)
	switch {
	case s.history != nil && name == s.history.fence:
		seq, err := strconv.ParseUint(payload, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: the fence says %.64q", errReply, payload)
		}
		s.keeper.Fence(seq)
		return nil
	case !ok:
		return nil // nobody has asked for it
	case s.keeper == nil:
		s.DeliverPayload(channel, []byte(payload))
		return nil
	}
	m, payload, err := parseAnnouncement(payload)
	if err == nil {
		m.Event, err = envelope.Parse([]byte(payload))
	}
	m.Channel = channel
	return s.keeper.Message(m, err)
}

// Snapshot implements link.History.
func (s *session) Snapshot(ctx context.Context, since uint64, names []string) (link.Snapshot, error) {
	for {
		snapshot, err := s.history.snapshot(unsealed(ctx), s.client, s.Feed.Head(), since, names)
		if !isBusy(err) {
			return snapshot, err
		}
		if err := pause(ctx); err != nil {
			return snapshot, err
		}
	}
}

// Subscribe implements link.Asker and link.History.
func (s *session) Subscribe(ctx context.Context, names []string) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.questions.ask("subscribe", len(names), names)
	return s.sub.Subscribe(ctx, s.names(names)...)
}

// Unsubscribe implements link.Asker.
func (s *session) Unsubscribe(ctx context.Context, names []string) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.questions.ask("unsubscribe", len(names), names)
	return s.sub.Unsubscribe(ctx, s.names(names)...)
}

// ping asks for a sign of life.
func (s *session) ping(ctx context.Context) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.questions.ask("pong", 1, nil)
	return s.sub.Ping(ctx)
}

// pause waits while the server runs somebody's script, and answers nothing but that.
func pause(ctx context.Context) error {
	const busy = 100 * time.Millisecond
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(busy):
		return nil
	}
}

// names returns the names that channels have on the server.
func (b *Backplane) names(of []string) []string {
	names := make([]string, len(of))
	for i, channel := range of {
		names[i] = b.prefix + channel
	}
	return names
}
