package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace/channels"
)

// Headers of a message whose event is more than its data.
const (
	eventHeader = "Millrace-Event" // its type
	retryHeader = "Millrace-Retry" // its reconnection delay, in milliseconds
)

// maxUnacked bounds the messages of a session that a stream has not acknowledged: all that
// publishers may have under way.
const maxUnacked = 1 << 16

var (
	errNotPublished   = errors.New("the event was not published")
	errMaybePublished = errors.New("the event may not have been published")
	errDown           = errors.New("not connected to NATS, publish again later")
)

// Send implements channels.Backplane. It waits until the server has the event.
func (b *Backplane) Send(channel string, ev channels.Event) (channels.Receipt, error) {
	return channels.SendOne(b, channel, ev)
}

// SendAll implements channels.Pipeline: it waits for the server's answers once the server
// has all of batch.
func (b *Backplane) SendAll(batch []*channels.Publication) {
	s, err := b.session.Load(), b.Down()
	if err == nil && s == nil {
		err = errDown
	}
	if err != nil {
		channels.FailAll(batch, fmt.Errorf("%w: %w", errNotPublished, err))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	mark := b.Sends()
	s.publish(ctx, batch)
	for _, p := range batch {
		switch {
		case p.Err == nil:
			p.Receipt.Receivers = b.Feed.Subscribers(p.Channel)
		case errors.Is(p.Err, nats.ErrPermissionViolation):
			p.Err = fmt.Errorf("%w: %w", errNotPublished, p.Err)
		default:
			if errors.Is(p.Err, context.DeadlineExceeded) {
				b.Unanswered(mark)
			}
			p.Err = fmt.Errorf("%w: %w", errMaybePublished, p.Err)
		}
	}
}

// publish publishes a batch, in order, waits until the server has it, and sets the result
// of each, except the receivers.
func (s *session) publish(ctx context.Context, batch []*channels.Publication) {
	messages, under := make([]*nats.Msg, len(batch)), make([]*publishing, len(batch))
	for i, p := range batch {
		messages[i] = s.message(p.Channel, p.Event)
		under[i] = s.reports.begin(ctx, messages[i].Subject)
	}
	defer s.reports.end(under)
	if s.keeper == nil {
		s.send(ctx, batch, messages)
	} else {
		s.store(batch, messages, under)
	}
	s.reports.settle()
	for i, p := range batch {
		if why := context.Cause(under[i].ctx); why != nil {
			p.Err = why
		}
	}
}

// send publishes messages in the plain form.
func (s *session) send(ctx context.Context, batch []*channels.Publication, messages []*nats.Msg) {
	for i, p := range batch {
		p.Err = s.conn.PublishMsg(messages[i])
	}
	if err := s.conn.FlushWithContext(ctx); err != nil {
		for _, p := range batch {
			p.Err = err
		}
	}
}

// store publishes messages in the form with history.
func (s *session) store(batch []*channels.Publication, messages []*nats.Msg, under []*publishing) {
	var options []jetstream.PublishOpt
	if len(batch) > 1 { // a message that is sent again would come after later ones
		options = append(options, jetstream.WithRetryAttempts(0))
	}
	acks := make([]jetstream.PubAckFuture, len(batch))
	for i, p := range batch {
		acks[i], p.Err = s.js.PublishMsgAsync(messages[i], options...)
	}
	for i, p := range batch {
		if p.Err != nil {
			continue
		}
		select {
		case ack := <-acks[i].Ok():
			p.Receipt = channels.Receipt{Epoch: s.epoch, Seq: number(ack.Sequence)}
		case p.Err = <-acks[i].Err():
		case <-under[i].ctx.Done():
		}
	}
}

// message is ev as it travels.
func (b *Backplane) message(channel string, ev channels.Event) *nats.Msg {
	m := &nats.Msg{Subject: string(appendSubject([]byte(b.prefix), channel)), Data: ev.Data}
	if ev.Type != "" || ev.Retry != 0 {
		m.Header = make(nats.Header)
	}
	if ev.Type != "" {
		m.Header.Set(eventHeader, ev.Type)
	}
	if ev.Retry != 0 {
		m.Header.Set(retryHeader, strconv.FormatInt(ev.Retry.Milliseconds(), 10))
	}
	return m
}

// event is the inverse of message.
func event(header nats.Header, data []byte) (channels.Event, error) {
	ev := channels.Event{Data: data, Type: header.Get(eventHeader)}
	if retry := header.Get(retryHeader); retry != "" {
		ms, err := strconv.ParseUint(retry, 10, 31)
		if err != nil {
			return ev, fmt.Errorf("the header %s is %q, want milliseconds", retryHeader, retry)
		}
		ev.Retry = time.Duration(ms) * time.Millisecond
	}
	return ev, nil
}
