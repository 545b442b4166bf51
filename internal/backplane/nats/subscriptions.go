package nats

import (
	"context"

	"github.com/nats-io/nats.go"
)

// news tells of channels whose state at the server has changed.
type news struct {
	asked   []string  // they are about to be subscribed to; plain form
	taken   []string  // the server has their subscriptions
	dropped []string  // they are not subscribed to, or no longer
	refused []refusal // the same, for a reason
}

// refusal is why the server has refused channels, as a whole.
type refusal struct {
	why   error
	names []string
}

// Subscribe implements link.Asker and link.History. The server tells of refusals by
// subject, except for the limit of subscriptions, which concerns any of the batch.
func (s *session) Subscribe(ctx context.Context, names []string) error {
	if s.keeper == nil {
		if err := s.tell(ctx, news{asked: names}); err != nil {
			return err
		}
	}
	subjects := make([]string, len(names))
	for i, channel := range names {
		subjects[i] = string(appendSubject([]byte(s.subjects), channel))
	}
	refused, full, err := s.reports.subscribe(subjects, func() error { return s.subscribeTo(names, subjects) })
	if err != nil {
		return err
	}
	if full {
		return s.giveUp(ctx, news{refused: []refusal{{nats.ErrMaxSubscriptionsExceeded, names}}})
	}
	var n news
	for i, channel := range names {
		if why := refused[subjects[i]]; why != nil {
			n.refused = append(n.refused, refusal{why, []string{channel}})
		} else {
			n.taken = append(n.taken, channel)
		}
	}
	return s.giveUp(ctx, n)
}

// subscribeTo subscribes to the subjects of channels and waits until the server knows.
func (s *session) subscribeTo(names, subjects []string) error {
	for i, channel := range names {
		if s.followed[channel] != nil {
			continue // it is asked for anew
		}
		sub, err := s.conn.ChanSubscribe(subjects[i], s.messages)
		if err != nil {
			return err
		}
		s.followed[channel] = sub
	}
	return s.conn.FlushTimeout(timeout)
}

// Unsubscribe implements link.Asker.
func (s *session) Unsubscribe(ctx context.Context, names []string) error {
	return s.giveUp(ctx, news{dropped: names})
}

// giveUp ends the subscriptions of dropped and refused channels, and tells the news.
func (s *session) giveUp(ctx context.Context, n news) error {
	for _, r := range n.refused {
		n.dropped = append(n.dropped, r.names...)
	}
	for _, channel := range n.dropped {
		if err := s.unsubscribe(channel); err != nil {
			return err
		}
	}
	return s.tell(ctx, n)
}

// unsubscribe ends the subscription of a channel, if there is one.
func (s *session) unsubscribe(channel string) error {
	sub := s.followed[channel]
	if sub == nil {
		return nil
	}
	delete(s.followed, channel)
	return sub.Unsubscribe()
}

// tell hands news to the goroutine in Listen, which takes them in before any message
// that comes later.
func (s *session) tell(ctx context.Context, n news) error {
	select {
	case s.told <- n:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hear takes in news of channels.
func (s *session) hear(ctx context.Context, n news) error {
	for _, channel := range n.asked {
		s.expected[channel] = true
	}
	for _, channel := range n.dropped {
		delete(s.expected, channel)
		if s.keeper != nil {
			s.keeper.Unsubscribed(channel)
		}
	}
	for _, r := range n.refused {
		if s.keeper != nil {
			s.keeper.Refused(r.why, r.names...)
		} else {
			s.Refuse(r.why, r.names...)
		}
	}
	if s.keeper != nil {
		s.keeper.Subscribed(n.taken...)
		return s.keeper.Settled(ctx)
	}
	for _, channel := range n.taken {
		s.confirm(channel)
	}
	return nil
}
