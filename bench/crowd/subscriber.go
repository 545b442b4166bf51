package crowd

import (
	"context"
	"fmt"
	"sync"
	"time"

	"millrace/internal/resp"
)

// subscriber hears all publishers by the Redis protocol, by their names or by a pattern. If its
// connection is lost it comes back, and what came between is not its own.
type subscriber struct {
	admin   string
	pattern bool
	order   *order
	seen    *seen
	ready   chan struct{}
	once    sync.Once
}

func (s *subscriber) run(ctx context.Context) {
	for ctx.Err() == nil {
		open, err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if open {
			s.seen.end(KindSubscriber, err)
		}
		s.order.anew()
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// follow hears events until the connection is lost, and tells whether it heard any channel.
func (s *subscriber) follow(ctx context.Context) (open bool, err error) {
	conn, err := dialRedis(s.admin)
	if err != nil {
		return open, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	command, replies := append([]string{"SUBSCRIBE"}, s.order.channels()...), len(s.order.channels())
	if s.pattern {
		command, replies = []string{"PSUBSCRIBE", "/crowd/[0-9]*"}, 1
	}
	if _, err := conn.Write(resp.AppendCommand(nil, command...)); err != nil {
		return open, err
	}
	for {
		reply, err := resp.ReadReply(conn.r)
		if err != nil {
			return open, err
		}
		words, _ := reply.([]any)
		if len(words) < 3 {
			return open, fmt.Errorf("a subscriber got %v", reply)
		}
		if kind := words[0]; kind == "subscribe" || kind == "psubscribe" {
			if replies--; replies == 0 {
				open = true
				s.once.Do(func() { close(s.ready) })
			}
			continue
		}
		data, _ := words[len(words)-1].(string)
		if _, err := s.order.take(data); err != nil {
			s.seen.fault(KindSubscriber, err)
			s.order.anew()
		}
	}
}
