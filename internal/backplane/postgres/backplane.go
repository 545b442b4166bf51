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
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/channels"
	"millrace/internal/backplane/link"
)

const (
	// publishTimeout bounds how long PublishAll takes, and patience every exchange of
	// the follower with the database.
	publishTimeout, patience = 3 * time.Second, 5 * time.Second
)

// Options of a Backplane.
type Options struct {
	// Prefix stands before every channel's name in the database, with a colon,
	// unless it is empty.
	Prefix string
	// Logger is the backplane's; nil is slog.Default().
	Logger *slog.Logger
}

// Backplane is a channels.Backplane over a PostgreSQL database.
type Backplane struct {
	*link.Link
	cfg      *pgxpool.Config
	prefix   string
	follower follower
	pool     *pgxpool.Pool // of publishers
	closed   context.Context
	stop     context.CancelFunc // of closed
}

// follower is the form in which messages cross the database. It has a connection
// of its own for following.
type follower interface {
	// statement returns the statement that hands over a message, by the channel's name
	// in the database. Safe for concurrent use.
	statement(name string, payload []byte) (statement, error)
	// published is called when some have been handed over. Safe for concurrent use.
	published()
	// follow delivers the messages of the set's channels, until the connection fails or
	// ctx is done.
	follow(ctx context.Context, conn *pgx.Conn) error
}

// Start connects to the database and delivers to the feed of a broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(feed channels.Feed) { b.Link.Start(feed, b.session) }

// Close ends the session, if Start was called, and closes all connections.
func (b *Backplane) Close() error {
	b.stop()
	b.Link.Close()
	b.pool.Close()
	return nil
}

// session follows over one connection, until that fails.
func (b *Backplane) session(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, b.cfg.ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
	return b.follower.follow(ctx, conn)
}

// await hands notifications to each until it returns false, d has passed, or one of
// wake and poke, which may be nil, has a token. Those that came with an earlier
// answer are handed over in any case.
func await(ctx context.Context, conn *pgx.Conn, d time.Duration, wake, poke <-chan struct{}, each func(*pgconn.Notification) bool) error {
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-wake:
			cancel()
		case <-poke:
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
