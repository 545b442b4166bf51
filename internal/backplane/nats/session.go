package nats

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// batch is how many channels are subscribed to before the server is asked whether
// it has them all.
const batch = 1000

// session is one connection with its subscriptions.
type session struct {
	*Backplane
	conn     *nats.Conn
	followed map[string]*nats.Subscription // by channel; of the goroutine in ask
	messages chan *nats.Msg                // of all subscriptions, in the order in which they came
	asked    chan []string                 // channels that are about to be subscribed to
	flushed  chan []string                 // channels whose subscriptions the server has
	expected map[string]bool               // asked and not yet confirmed; of the goroutine in deliver
	lost     chan string                   // channels whose messages found no room
}

// run asks and delivers until ctx is done, and returns why it is.
func (s *session) run(ctx context.Context, end context.CancelCauseFunc) error {
	var asking sync.WaitGroup
	asking.Go(func() { end(s.ask(ctx)) })
	s.deliver(ctx)
	asking.Wait()
	return context.Cause(ctx)
}

// ask subscribes to what the set wants until ctx is done.
func (s *session) ask(ctx context.Context) error {
	for {
		ask, drop, again := s.Set.Next(batch)
		for _, channel := range drop {
			if err := s.followed[channel].Unsubscribe(); err != nil {
				return err
			}
			delete(s.followed, channel)
		}
		if err := s.tell(ctx, s.asked, ask); err != nil {
			return err
		}
		for _, channel := range ask {
			sub, err := s.conn.ChanSubscribe(s.subject(channel), s.messages)
			if err != nil {
				return err
			}
			s.followed[channel] = sub
		}
		if len(ask) > 0 {
			if err := s.conn.FlushTimeout(publishTimeout); err != nil {
				return err
			}
			if err := s.tell(ctx, s.flushed, ask); err != nil {
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
		case <-s.Set.Wake():
		case <-later:
		}
	}
}

// tell hands names, if there are any, to the goroutine in deliver.
func (s *session) tell(ctx context.Context, to chan<- []string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	select {
	case to <- names:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deliver hands on what comes until ctx is done.
func (s *session) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.messages:
			s.receive(m)
		case names := <-s.asked:
			for _, channel := range names {
				s.expected[channel] = true
			}
		case names := <-s.flushed:
			for _, channel := range names {
				s.confirm(channel)
			}
		case channel := <-s.lost:
			s.drain() // what is lost came after what waits
			s.Lose(channel, nats.ErrSlowConsumer)
		}
	}
}

// drain delivers what waits.
func (s *session) drain() {
	for range len(s.messages) {
		s.receive(<-s.messages)
	}
}

// confirm tells, once, that everything published on a channel comes from here on.
func (s *session) confirm(channel string) {
	if s.expected[channel] {
		delete(s.expected, channel)
		s.Confirm(channel)
	}
}

// receive hands on a message. The first one of a channel may come before the server
// has confirmed that it has the subscription; what was missed before it must be told
// before it is delivered.
func (s *session) receive(m *nats.Msg) {
	channel, ok := channelOf(strings.TrimPrefix(m.Subject, s.prefix))
	if !ok {
		s.Log.Error("a message from NATS has a subject that no channel has", "subject", m.Subject)
		return
	}
	s.confirm(channel)
	ev, err := event(m)
	if err != nil {
		s.Lose(channel, err)
		return
	}
	s.Deliver(channel, ev)
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
	channel, _ := channelOf(strings.TrimPrefix(sub.Subject, s.prefix))
	select {
	case s.lost <- channel:
	default:
		s.Log.Error("too much is lost to tell each channel: connecting again tells all", "error", err)
		conn.Close()
	}
}
