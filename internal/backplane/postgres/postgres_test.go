package postgres

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"millrace/channels"
	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// schema is the table of Solid Cable 4, as its migration leaves it.
const schema = `CREATE TABLE solid_cable_messages (
	id bigserial PRIMARY KEY,
	channel bytea NOT NULL,
	payload bytea NOT NULL,
	created_at timestamp(6) NOT NULL,
	channel_hash bigint NOT NULL
);
CREATE INDEX index_solid_cable_messages_on_channel ON solid_cable_messages (channel);
CREATE INDEX index_solid_cable_messages_on_channel_hash ON solid_cable_messages (channel_hash);
CREATE INDEX index_solid_cable_messages_on_created_at ON solid_cable_messages (created_at)`

// long bounds every wait.
const long = testenv.Patience

// TestPostgres has the tests that share a server: to start one takes longer than
// they do.
func TestPostgres(t *testing.T) {
	p := testenv.NewPostgres(t)
	query(t, connect(t, p), schema)
	for _, tt := range []struct {
		name string
		test func(*testing.T, *testenv.Postgres)
	}{
		{"Forms", testForms},
		{"Payloads", testPayloads},
		{"Binary", testBinary},
		{"IdentifierTwice", testIdentifierTwice},
		{"Latin1", testLatin1},
		{"Pooler", testPooler},
		{"Nulls", testNulls},
		{"LeastPermissions", testLeastPermissions},
		{"OutOfOrder", testOutOfOrder},
		{"RolledBack", testRolledBack},
		{"OpenAtStart", testOpenAtStart},
		{"Trimmed", testTrimmed},
		{"Anew", testAnew},
		{"Trigger", testTrigger},
		{"Interrupted", testInterrupted},
		{"Upgrades", testUpgrades},
		{"Rails", testRails},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, p) })
	}
}

func connect(t *testing.T, p *testenv.Postgres) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func query(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%.80s: %v", sql, err)
	}
}

// startLocal runs a node until the test ends.
func startLocal(t *testing.T, address string, opts Options) *enginetest.Local {
	t.Helper()
	return enginetest.StartLocal(t, address, channels.Options{}, func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
		opts.Logger = log
		return Open(u, opts)
	})
}

// triggerSQL is what docs/scaling.md tells operators to install.
func triggerSQL(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```sql\nCREATE FUNCTION millrace_wake")
	sql, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/scaling.md does not have the trigger")
	}
	return "CREATE FUNCTION millrace_wake" + sql
}
