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

var errSequence = errors.New("a message of the stream has no sequence")

// session is one connection with its subscriptions.
type session struct {
	*Backplane
	conn     *nats.Conn
	reports  *reports
	subjects string                        // of live messages, a prefix
	followed map[string]*nats.Subscription // by channel; of the goroutine in Ask
	messages chan *nats.Msg                // of all subscriptions, in the order in which they came
	told     chan news                     // of the goroutine in Ask, for the one in Listen
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
		told:      make(chan news, 1), // for what Keeper.Begin asks for
		expected:  make(map[string]bool),
		lost:      make(chan string, waiting),
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.reports = newReports(func(err error) { s.astray(end, err) })
	options := b.options
	options.ClosedCB = func(conn *nats.Conn) { end(cmp.Or(conn.LastError(), nats.ErrConnectionClosed)) }
	options.AsyncErrorCB = s.failed
	conn, err := options.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	s.conn, s.reports.conn = conn, conn
	if b.history != nil {
		if err := s.openHistory(ctx); err != nil {
			return cmp.Or(context.Cause(ctx), err) // a request that is refused has no answer
		}
	}
	b.session.Store(s)
	defer b.session.Store(nil)
	b.Up()
	if s.keeper != nil {
		if err := s.keeper.Recover(ctx); err != nil {
			return err
		}
	}
	var others sync.WaitGroup
	others.Go(func() { end(b.Ask(ctx, s)) })
	if s.keeper == nil { // fences are signs of life, too
		others.Go(func() { end(link.Pulse(ctx, s.ping)) })
	}
	for ctx.Err() == nil {
		if err := s.Listen(ctx); err != nil {
			end(err)
		}
	}
	others.Wait()
	return context.Cause(ctx)
}

// ping asks for a sign of life.
func (s *session) ping(context.Context) error {
	if s.conn.FlushTimeout(timeout) == nil {
		s.Alive()
	}
	return nil // that the connection is lost, the client tells
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
		select {
		case n := <-s.told:
			if err := s.hear(ctx, n); err != nil {
				return err
			}
		default:
		}
		return s.receive(m)
	case n := <-s.told:
		return s.hear(ctx, n)
	case channel := <-s.lost:
		return s.lose(channel)
	case <-s.pulse:
		return s.sendPulse(ctx)
	}
}

// receive hands on a message. In the plain form, the first one of a channel may come
// before the server has confirmed that it has the subscription; a gap before the message
// must be told before the message is delivered.
func (s *session) receive(m *nats.Msg) error {
	subject, ok := strings.CutPrefix(m.Subject, s.subjects)
	switch {
	case !ok: // of the two that are outside, one is left
		return errLeader
	case s.keeper != nil && subject == s.history.fence:
		sequence, _, err := sequences(m)
		if err == nil {
			s.beat = time.Now()
			s.Alive()
			s.keeper.Fence(number(sequence))
		}
		return nil
	}
	channel, ok := channelOf(subject)
	if !ok {
		s.Log.Error("a message from NATS has a subject that no channel has", "subject", m.Subject)
		return nil
	}
	ev, err := event(m.Header, m.Data)
	if s.keeper != nil {
		sequence, before, bad := sequences(m)
		return s.keeper.Message(link.Message{
			Epoch: s.epoch, Channel: channel, Before: number(before), Kept: channels.Kept{Number: number(sequence), Event: ev},
		}, cmp.Or(err, bad))
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
// subject, 0 for none. Any program can send such a message.
func sequences(m *nats.Msg) (sequence, before uint64, err error) {
	sequence, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	before, _ = strconv.ParseUint(m.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	if err != nil || sequence == 0 {
		return 0, 0, errSequence
	}
	return sequence, before, nil
}

// confirm tells, once, that everything published on a channel comes from here on.
func (s *session) confirm(channel string) {
	if s.expected[channel] {
		delete(s.expected, channel)
		s.Confirm(channel)
	}
}

// lose tells that a message of a channel found no room. Waiting messages came before it.
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
