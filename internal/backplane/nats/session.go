package nats

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace/channels"
	"millrace/internal/backplane/link"
)

// session is one connection with its subscriptions.
type session struct {
	*Backplane
	conn     *nats.Conn
	subjects string                        // of live messages, a prefix
	followed map[string]*nats.Subscription // by channel; of the goroutine in Ask
	messages chan *nats.Msg                // of all subscriptions, in the order in which they came
	asked    chan []string                 // channels that are about to be subscribed to; plain form
	flushed  chan []string                 // channels whose subscriptions the server has
	dropped  chan []string                 // channels that are no longer subscribed to
	expected map[string]bool               // asked and not yet confirmed; of the goroutine in Listen
	lost     chan string                   // channels whose messages found no room

	// In the form with history:
	keeper *link.Keeper // nil in the plain form
	js     jetstream.JetStream
	stream jetstream.Stream
	epoch  string
	pulse  <-chan time.Time // of pulsePeriod
	beat   time.Time        // when a fence came back
	marked time.Time        // when a mark was set
}

// run connects and delivers until the connection is lost or ctx is done, and returns
// why.
func (b *Backplane) run(ctx context.Context) error {
	s := &session{
		Backplane: b,
		subjects:  b.prefix,
		followed:  make(map[string]*nats.Subscription),
		messages:  make(chan *nats.Msg, waiting),
		asked:     make(chan []string),
		flushed:   make(chan []string, 1), // for what Keeper.Begin asks for
		dropped:   make(chan []string),
		expected:  make(map[string]bool),
		lost:      make(chan string, waiting),
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	options := b.options
	options.ClosedCB = func(conn *nats.Conn) { end(cmp.Or(conn.LastError(), nats.ErrConnectionClosed)) }
	options.AsyncErrorCB = s.failed
	conn, err := options.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	s.conn = conn
	if b.history != nil {
		if err := s.openHistory(ctx); err != nil {
			return err
		}
	}
	b.session.Store(s)
	defer b.session.Store(nil)
	b.Up()
	if s.keeper != nil {
		if err := s.keeper.Begin(ctx); err != nil {
			return err
		}
	}
	var asking sync.WaitGroup
	asking.Go(func() { end(b.Ask(ctx, s)) })
	for ctx.Err() == nil {
		if err := s.Listen(ctx); err != nil {
			end(err)
		}
	}
	asking.Wait()
	return context.Cause(ctx)
}

// publish publishes m and waits until the server has it.
func (s *session) publish(m *nats.Msg) (receipt channels.Receipt, err error) {
	if s.keeper == nil {
		if err = s.conn.PublishMsg(m); err == nil {
			err = s.conn.FlushTimeout(timeout)
		}
		return receipt, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	ack, err := s.js.PublishMsg(ctx, m)
	if err != nil {
		return receipt, err
	}
	return channels.Receipt{Epoch: s.epoch, Seq: number(ack.Sequence)}, nil
}

// Subscribe implements link.Asker and link.History.
func (s *session) Subscribe(ctx context.Context, names []string) error {
	if s.keeper == nil {
		if err := tell(ctx, s.asked, names); err != nil {
			return err
		}
	}
	for _, channel := range names {
		sub, err := s.conn.ChanSubscribe(string(appendSubject([]byte(s.subjects), channel)), s.messages)
		if err != nil {
			return err
		}
		s.followed[channel] = sub
	}
	if err := s.conn.FlushTimeout(timeout); err != nil {
		return err
	}
	return tell(ctx, s.flushed, names)
}

// Unsubscribe implements link.Asker.
func (s *session) Unsubscribe(ctx context.Context, names []string) error {
	for _, channel := range names {
		if err := s.followed[channel].Unsubscribe(); err != nil {
			return err
		}
		delete(s.followed, channel)
	}
	return tell(ctx, s.dropped, names)
}

// Ping implements link.Asker. The client pings by itself.
func (s *session) Ping(context.Context) error { return nil }

// tell hands names to the goroutine in Listen.
func tell(ctx context.Context, to chan<- []string, names []string) error {
	select {
	case to <- names:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Snapshot implements link.History.
func (s *session) Snapshot(ctx context.Context, since uint64, names []string) (link.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.history.snapshot(ctx, s.js, s.stream, since, names)
}

// Listen implements link.History. It hands on one thing that comes.
func (s *session) Listen(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case m := <-s.messages:
		return s.receive(m)
	case names := <-s.asked:
		for _, channel := range names {
			s.expected[channel] = true
		}
	case names := <-s.flushed:
		if s.keeper != nil {
			s.keeper.Subscribed(names...)
			return s.keeper.Settled(ctx)
		}
		for _, channel := range names {
			s.confirm(channel)
		}
	case names := <-s.dropped:
		for _, channel := range names {
			if s.keeper != nil {
				s.keeper.Unsubscribed(channel)
			}
		}
	case channel := <-s.lost:
		return s.lose(channel)
	case <-s.pulse:
		return s.sendPulse(ctx)
	}
	return nil
}

// receive hands on a message. In the plain form, the first one of a channel may come
// before the server has confirmed that it has the subscription; what was missed before
// it must be told before it is delivered.
func (s *session) receive(m *nats.Msg) error {
	subject, ok := strings.CutPrefix(m.Subject, s.subjects)
	switch {
	case !ok: // of the two that are outside, one is left
		return errLeader
	case s.keeper != nil && subject == s.history.fence:
		sequence, _ := sequences(m)
		s.beat = time.Now()
		s.keeper.Fence(number(sequence))
		return nil
	}
	channel, ok := channelOf(subject)
	if !ok {
		s.Log.Error("a message from NATS has a subject that no channel has", "subject", m.Subject)
		return nil
	}
	ev, err := event(m.Header, m.Data)
	if s.keeper != nil {
		sequence, before := sequences(m)
		return s.keeper.Message(link.Message{
			Epoch: s.epoch, Channel: channel, Before: number(before), Kept: channels.Kept{Seq: number(sequence), Event: ev},
		}, err)
	}
	s.confirm(channel)
	if err != nil {
		s.Lose(channel, err)
		return nil
	}
	s.Deliver(channel, ev)
	return nil
}

// sequences returns the sequence of a message of a stream, and of the one before on its
// subject.
func sequences(m *nats.Msg) (sequence, before uint64) {
	sequence, _ = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	before, _ = strconv.ParseUint(m.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	return sequence, before
}

// confirm tells, once, that everything published on a channel comes from here on.
func (s *session) confirm(channel string) {
	if s.expected[channel] {
		delete(s.expected, channel)
		s.Confirm(channel)
	}
}

// lose tells that a message of a channel found no room. What waits came before it.
func (s *session) lose(channel string) error {
	if s.keeper != nil {
		return nats.ErrSlowConsumer // the next session makes up for it
	}
	for range len(s.messages) {
		if err := s.receive(<-s.messages); err != nil {
			return err
		}
	}
	s.Lose(channel, nats.ErrSlowConsumer)
	return nil
}

// failed is called by the client for errors that do not end the connection.
func (s *session) failed(conn *nats.Conn, sub *nats.Subscription, err error) {
	if sub == nil || !errors.Is(err, nats.ErrSlowConsumer) {
		s.Log.Error("NATS reports an error", "error", err)
		if sub != nil { // not allowed, say: the channel will never be delivered
			conn.Close()
		}
		return
	}
	channel, _ := channelOf(strings.TrimPrefix(sub.Subject, s.subjects))
	select {
	case s.lost <- channel:
	default:
		s.Log.Error("too much is lost to tell each channel: connecting again tells all", "error", err)
		conn.Close()
	}
}
