package postgres

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/internal/backplane/link"
	"millrace/internal/redact"
)

// settings are the server's settings that a URL may have, besides what libpq and
// pgx take for a connection. Any other is probably a mistake.
var settings = []string{"application_name", "client_encoding", "options", "search_path", "statement_timeout", "timezone"}

// maxAnswer bounds one message of the database, in bytes: a row with the longest payload,
// in text, has twice those.
const maxAnswer = 2*maxBody + 1<<20

// Open returns a backplane over the database that u names,
// postgres://user:password@host:port/database with the options of libpq and, for
// the table of Solid Cable, ?table=NAME. Nothing is connected yet.
func Open(u *url.URL, opts Options) (*Backplane, error) {
	own := *u
	query := own.Query()
	name, tabled := query.Get("table"), query.Has("table")
	query.Del("table")
	own.RawQuery, own.Path = query.Encode(), cmp.Or(own.Path, "/")
	cfg, err := pgxpool.ParseConfig(own.String())
	if err != nil {
		return nil, err // has the URL without its password
	}
	params := cfg.ConnConfig.RuntimeParams
	for _, param := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains(settings, param) {
			return nil, fmt.Errorf("unknown option %q of %s: want table, an option of libpq, or one of %q", param, redact.URL(u), settings)
		}
	}
	params["application_name"] = cmp.Or(params["application_name"], "millrace")
	params["client_encoding"], params["timezone"] = "UTF8", "UTC"
	cfg.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, w)
		f.SetMaxBodyLen(maxAnswer) // of which memory is taken before it has come
		return f
	}
	cfg.ConnConfig.ConnectTimeout = cmp.Or(cfg.ConnConfig.ConnectTimeout, patience)

	b := &Backplane{Link: link.New("PostgreSQL", u, opts.Logger), cfg: cfg, prefix: opts.Prefix}
	if b.prefix != "" {
		b.prefix += ":"
	}
	b.Ordered = true // notifications come in the order of commits
	b.follower = &listener{Backplane: b}
	if tabled {
		parts := strings.Split(name, ".")
		if slices.Contains(parts, "") || len(parts) > 2 {
			return nil, fmt.Errorf("table: %q, want a name such as solid_cable_messages, or schema.name", name)
		}
		b.Lossless = true
		b.follower = newTable(b, pgx.Identifier(parts).Sanitize())
	} else {
		// A notification does not outlive a crash, so its commit need not wait
		// for the disk. Poolers refuse a connection that asks for it at once.
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET synchronous_commit = off")
			return err
		}
	}
	b.closed, b.stop = context.WithCancel(context.Background())
	if b.pool, err = pgxpool.NewWithConfig(b.closed, cfg); err != nil {
		return nil, err
	}
	return b, nil
}
