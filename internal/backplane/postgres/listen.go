package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// maxPayload is the longest payload that PostgreSQL takes with a
	// notification, in bytes.
	maxPayload = 7999
	// batch is how many channels one exchange with the database takes up.
	batch = 1000
	// heartbeat is how often a silent connection is asked whether it is there.
	heartbeat = 5 * time.Second
)

var (
	errPayload = errors.New("payload too long for a notification")
	errNUL     = errors.New("a notification cannot carry the character NUL")
)

// listener is the follower of notifications. What is notified while it is not
// connected is lost, which its channels are told.
type listener struct {
	*Backplane
	short map[string]bool   // the channels that go by their own name
	long  map[string]string // the others, by the names that they go by
}

func (l *listener) publish(ctx context.Context, name string, payload []byte) error {
	if len(payload) > maxPayload {
		return fmt.Errorf("%w: %d bytes, want at most %d, which the form ?table=solid_cable_messages does not ask for", errPayload, len(payload), maxPayload)
	}
	if i := bytes.IndexByte(payload, 0); i >= 0 {
		return fmt.Errorf("%w: there is one at byte %d", errNUL, i)
	}
	if _, err := l.pool.Exec(ctx, "SELECT pg_notify($1, $2)", identifier(name), string(payload)); err != nil {
		return fmt.Errorf("the event may not have been published: %w", err)
	}
	return nil
}

func (l *listener) follow(ctx context.Context, conn *pgx.Conn) error {
	l.short, l.long = make(map[string]bool), make(map[string]string)
	asked := time.Now()
	for {
		ask, drop, again := l.Set.Next(batch)
		if err := l.listen(ctx, conn, ask, drop); err != nil {
			return err
		}
		var pause time.Duration
		if len(ask)+len(drop) == 0 {
			l.Up()
			pause = heartbeat
			if !again.IsZero() {
				pause = min(pause, time.Until(again))
			}
		}
		if err := await(ctx, conn, pause, l.Set.Wake(), nil, l.receive); err != nil {
			return err
		}
		if time.Since(asked) < heartbeat {
			continue
		}
		if err := exchange(ctx, conn, "SELECT 1"); err != nil {
			return err
		}
		asked = time.Now()
	}
}

// listen takes up channels and leaves others, in one exchange, and tells those
// that it has taken up.
func (l *listener) listen(ctx context.Context, conn *pgx.Conn, ask, drop []string) error {
	if len(ask)+len(drop) == 0 {
		return nil
	}
	var sql strings.Builder
	for _, channel := range drop {
		name := identifier(l.prefix + channel)
		if name == l.prefix+channel {
			delete(l.short, channel)
		} else {
			delete(l.long, name)
		}
		sql.WriteString("UNLISTEN " + pgx.Identifier{name}.Sanitize() + ";")
	}
	for _, channel := range ask {
		name := identifier(l.prefix + channel)
		if name == l.prefix+channel {
			l.short[channel] = true
		} else {
			l.long[name] = channel
		}
		sql.WriteString("LISTEN " + pgx.Identifier{name}.Sanitize() + ";")
	}
	if err := exchange(ctx, conn, sql.String()); err != nil {
		return err
	}
	l.Confirm(ask...)
	return nil
}

// receive delivers a notification.
func (l *listener) receive(n *pgconn.Notification) bool {
	if channel, ok := l.long[n.Channel]; ok {
		l.DeliverPayload(channel, []byte(n.Payload))
	}
	if channel, ok := strings.CutPrefix(n.Channel, l.prefix); ok && l.short[channel] {
		l.DeliverPayload(channel, []byte(n.Payload))
	}
	return true
}

// exchange has the database execute statements, within bounded time.
func exchange(ctx context.Context, conn *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
