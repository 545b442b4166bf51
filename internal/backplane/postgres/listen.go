package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"millrace/internal/backplane/envelope"
)

const (
	// maxPayload is the longest payload that PostgreSQL takes with a
	// notification, in bytes.
	maxPayload = 7999
	// batch is how many channels one exchange with the database takes up.
	batch = 1000
	// heartbeat is how often a connection is asked whether it is there: more often than
	// publishers give up, see link.Alive.
	heartbeat = 2 * time.Second
)

var errPayload = errors.New("payload too long for a notification")

// listener is the follower of notifications. Notifications are lost while it is not
// connected, and its channels are told so.
type listener struct {
	*Backplane
	channels map[string]string // that are listened to, by identifier
}

func (l *listener) statement(name string, payload []byte) (statement, error) {
	if payload = envelope.Text(payload); len(payload) > maxPayload {
		return statement{}, fmt.Errorf("%w: %d bytes, want at most %d, which the form ?table=solid_cable_messages does not ask for", errPayload, len(payload), maxPayload)
	}
	name, err := identifier(name)
	return statement{"SELECT pg_notify($1, $2)", [][]byte{[]byte(name), payload}}, err
}

func (l *listener) published() {}

func (l *listener) follow(ctx context.Context, conn *pgx.Conn) error {
	l.channels = make(map[string]string)
	asked := time.Now()
	for {
		ask, drop, again := l.Set.Next(batch)
		if err := l.unlisten(ctx, conn, drop); err != nil {
			return err
		}
		if err := l.listen(ctx, conn, ask); err != nil {
			return err
		}
		var pause time.Duration
		if len(ask)+len(drop) == 0 {
			l.Up()
			pause = max(0, heartbeat-time.Since(asked))
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
		l.Alive()
		asked = time.Now()
	}
}

// unlisten leaves channels, in one exchange.
func (l *listener) unlisten(ctx context.Context, conn *pgx.Conn, drop []string) error {
	var sql strings.Builder
	for _, channel := range drop {
		name, err := identifier(l.prefix + channel)
		if _, ok := l.channels[name]; err != nil || !ok {
			continue // it was refused
		}
		delete(l.channels, name)
		sql.WriteString("UNLISTEN " + pgx.Identifier{name}.Sanitize() + ";")
	}
	if sql.Len() == 0 {
		return nil
	}
	return exchange(ctx, conn, sql.String())
}

// listen takes up channels, in one exchange, and tells those that it has taken up.
func (l *listener) listen(ctx context.Context, conn *pgx.Conn, ask []string) error {
	taken := make(map[string]string, len(ask))
	names := make([]string, 0, len(ask))
	var sql strings.Builder
	for _, channel := range ask {
		name, err := identifier(l.prefix + channel)
		if err != nil {
			l.Refuse(err, channel)
			continue
		}
		taken[name] = channel
		names = append(names, channel)
		sql.WriteString("LISTEN " + pgx.Identifier{name}.Sanitize() + ";")
	}
	if len(names) == 0 {
		return nil
	}
	err := exchange(ctx, conn, sql.String())
	if concernsNames(err) && !conn.IsClosed() { // all of it was undone
		l.Refuse(err, names...)
		return nil
	}
	if err != nil {
		return err
	}
	maps.Copy(l.channels, taken)
	l.Confirm(names...)
	return nil
}

// concernsNames tells whether statements may have failed for a name that is in them:
// one with a character that the database's encoding has not, say. Classes of errors
// are those of PostgreSQL's appendix A.
func concernsNames(err error) bool {
	var said *pgconn.PgError
	if !errors.As(err, &said) || len(said.Code) != 5 {
		return false
	}
	class := said.Code[:2]
	return class == "22" || class == "42" // data exceptions; syntax and access
}

// receive delivers a notification.
func (l *listener) receive(n *pgconn.Notification) bool {
	if channel, ok := l.channels[n.Channel]; ok {
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
