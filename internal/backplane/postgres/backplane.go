// Package postgres links nodes through a PostgreSQL database, in the two forms of
// Action Cable: notifications (LISTEN and NOTIFY), or the table of Solid Cable,
// which keeps the messages for a day.
//
// The types: a [Backplane] publishes over a pool of connections, and follows
// channels over one connection of its own, which a follower serves: a listener,
// or a table.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
	"millrace/internal/backplane/follow"
)

const (
	// publishTimeout bounds how long Publish takes, and patience every exchange of
	// the follower with the database.
	publishTimeout, patience = 3 * time.Second, 5 * time.Second
	// firstDelay and lastDelay bound the time between two attempts to connect.
	firstDelay, lastDelay = 50 * time.Millisecond, 3 * time.Second
)

var errNotYet = errors.New("no connection yet")

// Options of a Backplane.
type Options struct {
	// Prefix stands before every channel's name in the database, with a colon,
	// unless it is empty.
	Prefix string
	// Logger takes what the backplane has to say; nil is slog.Default().
	Logger *slog.Logger
}

// Backplane is a channels.Backplane over a PostgreSQL database.
type Backplane struct {
	cfg      *pgxpool.Config
	server   string // for people
	prefix   string
	log      *slog.Logger
	follower follower
	set      *follow.Set
	poke     chan struct{} // holds a token when the follower has to look at once
	broker   *channels.Broker
	pool     *pgxpool.Pool // of publishers

	health  atomic.Pointer[error]
	ctx     context.Context // done when the backplane is closed
	stop    context.CancelFunc
	running sync.WaitGroup
}

// follower is the form in which messages cross the database. It has a connection
// of its own for following.
type follower interface {
	// publish hands over a message, by the channel's name in the database. Safe
	// for concurrent use.
	publish(ctx context.Context, name string, payload []byte) error
	// follow delivers what is published on the channels of the set, until the
	// connection fails or ctx is done.
	follow(ctx context.Context, conn *pgx.Conn) error
}

// Start connects to the database and delivers to broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(broker *channels.Broker) {
	b.broker = broker
	b.running.Go(b.run)
}

// Close ends what Start has begun, if it has, and closes all connections.
func (b *Backplane) Close() error {
	b.stop()
	b.running.Wait()
	b.pool.Close()
	return nil
}

// Publish implements channels.Backplane. It waits for the commit.
func (b *Backplane) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	ctx, cancel := context.WithTimeout(b.ctx, publishTimeout)
	defer cancel()
	if err := b.follower.publish(ctx, b.prefix+channel, envelope.Append([]byte{}, ev)); err != nil {
		return channels.Receipt{}, err
	}
	return channels.Receipt{Receivers: b.broker.Subscribers(channel)}, nil
}

// Follow implements channels.Backplane.
func (b *Backplane) Follow(channel string) (since uint64, ready bool) { return b.set.Follow(channel) }

// Unfollow implements channels.Backplane.
func (b *Backplane) Unfollow(channel string) { b.set.Unfollow(channel) }

// Health implements channels.Backplane.
func (b *Backplane) Health() error { return *b.health.Load() }

func (b *Backplane) setHealth(err error) { b.health.Store(&err) }

// run keeps the connection of the follower up until b is closed.
func (b *Backplane) run() {
	delay := firstDelay
	for {
		err := b.session()
		if b.ctx.Err() != nil {
			return
		}
		if b.Health() == nil {
			delay = firstDelay
		}
		if b.Health() == nil || b.Health() == errNotYet {
			b.log.Error("the connection to PostgreSQL is lost", "server", b.server, "error", err)
		}
		b.setHealth(fmt.Errorf("postgres: %w", err))
		select {
		case <-b.ctx.Done():
			return
		case <-time.After(delay/2 + rand.N(delay)): // so that many nodes do not come back at once
		}
		delay = min(2*delay, lastDelay)
	}
}

// session follows over one connection, until that fails.
func (b *Backplane) session() error {
	conn, err := pgx.ConnectConfig(b.ctx, b.cfg.ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
	return b.follower.follow(b.ctx, conn)
}

// well notes that the follower has all that it asked for.
func (b *Backplane) well() {
	if b.Health() != nil {
		b.setHealth(nil)
		b.log.Info("connected to PostgreSQL", "server", b.server, "channels", b.set.Len())
	}
}

// deliver hands a message on. What cannot be handed on is told to the channel's
// subscribers as a gap.
func (b *Backplane) deliver(channel string, payload []byte) {
	ev, err := envelope.Parse(payload)
	if err == nil {
		err = b.broker.Check(channel, ev)
	}
	if err == nil {
		_, err = b.broker.Deliver(channel, ev)
	}
	if err != nil {
		b.lose(channel, err)
	}
}

// lose tells that a message is missing on a channel.
func (b *Backplane) lose(channel string, why error) {
	b.log.Error("a message from PostgreSQL cannot be delivered: its subscribers are told of a gap", "channel", channel, "error", why)
	b.broker.Interrupted(channel)
}

// confirm tells that everything on channels is being delivered from now on.
func (b *Backplane) confirm(names []string) {
	if len(names) == 0 {
		return
	}
	since := b.broker.Head()
	for _, name := range names {
		b.set.Confirm(name, since)
	}
	b.broker.Followed(since, names...)
}

// await hands notifications to each until it returns false, d has passed, or
// something is to be done: a channel to be followed, or a poke. Those that came
// with an earlier answer are handed over in any case.
func (b *Backplane) await(ctx context.Context, conn *pgx.Conn, d time.Duration, each func(*pgconn.Notification) bool) error {
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-b.set.Wake():
			cancel()
		case <-b.poke:
			cancel()
		case <-waiting.Done():
		}
	}()
	defer func() {
		cancel()
		<-done
	}()
	for {
		n, err := conn.WaitForNotification(waiting)
		switch {
		case n != nil:
			if !each(n) {
				return nil
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case waiting.Err() != nil && !conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}
