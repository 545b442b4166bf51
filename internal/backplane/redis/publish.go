package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
)

var errNotPublished = errors.New("the event was not published")

// Send implements channels.Backplane.
func (b *Backplane) Send(channel string, ev channels.Event) (channels.Receipt, error) {
	return channels.SendOne(b, channel, ev)
}

// SendAll implements channels.Pipeline: one exchange with the server, or in the
// plain form with each server of a cluster that has some of the channels.
func (b *Backplane) SendAll(batch []*channels.Publication) {
	if err := b.Down(); err != nil {
		channels.FailAll(batch, fmt.Errorf("%w: %w", errNotPublished, err))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	begun, mark := time.Now(), b.Sends()
	if cluster, ok := b.client.(*redis.ClusterClient); ok && b.history == nil {
		b.publishInCluster(ctx, cluster, batch)
	} else {
		b.publish(ctx, b.client, batch)
	}
	for _, p := range batch {
		switch {
		case p.Err == nil:
			p.Receipt.Receivers = b.Feed.Subscribers(p.Channel)
		case fromServer(p.Err):
			p.Err = fmt.Errorf("%w: Redis: %w", errNotPublished, p.Err)
		default:
			if time.Since(begun) >= timeout*9/10 { // longer than between two pings
				b.Unanswered(mark)
			}
			p.Err = fmt.Errorf("the event may not have been published: %w", p.Err)
		}
	}
}

// publish sends a batch to one server, in order.
func (b *Backplane) publish(ctx context.Context, client redis.Cmdable, batch []*channels.Publication) {
	if b.history != nil && len(batch) == 1 {
		p := batch[0]
		p.Receipt.Epoch, p.Receipt.Seq, p.Err = parseAdded(b.history.add(ctx, client, addScript.Run, p.Channel, envelope.Append(nil, p.Event)))
		return
	}
	pipe := client.Pipeline()
	var plain []*redis.IntCmd
	var numbered []*redis.Cmd
	for i, p := range batch {
		payload := envelope.Append(nil, p.Event)
		if b.history == nil {
			plain = append(plain, pipe.Publish(ctx, b.prefix+p.Channel, payload))
		} else {
			run := addScript.EvalSha
			if i == 0 {
				run = addScript.Eval // or the server may not know it
			}
			numbered = append(numbered, b.history.add(ctx, pipe, run, p.Channel, payload))
		}
	}
	pipe.Exec(ctx) // whose error is that of a command
	for i, p := range batch {
		if b.history == nil {
			p.Err = plain[i].Err()
		} else {
			p.Receipt.Epoch, p.Receipt.Seq, p.Err = parseAdded(numbered[i])
		}
	}
}

// publishInCluster sends a batch to the servers of its channels. Every message on a
// name goes through one server, which gives them an order.
func (b *Backplane) publishInCluster(ctx context.Context, cluster *redis.ClusterClient, batch []*channels.Publication) {
	parts := make(map[*redis.Client][]*channels.Publication)
	for _, p := range batch {
		server, err := cluster.MasterForKey(ctx, b.prefix+p.Channel)
		if p.Err = err; err == nil {
			parts[server] = append(parts[server], p)
		}
	}
	for server, part := range parts {
		b.publish(ctx, server, part)
		for _, p := range part {
			if p.Err != nil {
				cluster.ReloadState(ctx) // perhaps it is another one now
				break
			}
		}
	}
}

// ways is link.Link's: servers of a cluster pass messages on in orders of their own.
func (b *Backplane) ways(ctx context.Context, cluster *redis.ClusterClient) (ways []func([]byte) error, err error) {
	var mu sync.Mutex // shards are visited together
	err = cluster.ForEachShard(ctx, func(_ context.Context, server *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		ways = append(ways, func(data []byte) error {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			return server.Publish(ctx, b.prefix+channels.ControlChannel, data).Err()
		})
		return nil
	})
	return ways, err
}
