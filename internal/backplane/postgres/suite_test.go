package postgres

import (
	"net"
	"testing"
	"time"

	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// engine is a server for the suite of all engines.
type engine struct {
	*testenv.Postgres
	database string
	query    string // of the URL
}

func newEngine(t *testing.T, options string) engine {
	t.Helper()
	p := testenv.NewPostgres(t)
	query(t, connect(t, p), schema)
	p.Stop()
	return engine{p, "postgres", options}
}

// newLatin1 returns an engine whose database has no characters beyond Latin-1, and so
// refuses names that have.
func newLatin1(t *testing.T) engine {
	t.Helper()
	p := testenv.NewPostgres(t)
	query(t, connect(t, p), createLatin1)
	p.Stop()
	return engine{p, "latin1", ""}
}

// Start implements enginetest.Engine.
func (e engine) Start(testing.TB) { e.Postgres.Start() }

// Stop implements enginetest.Engine.
func (e engine) Stop(testing.TB) { e.Postgres.Stop() }

// Dial implements enginetest.Engine.
func (e engine) Dial() (net.Conn, error) { return net.Dial("tcp", e.Addr()) }

// URL implements enginetest.Engine.
func (e engine) URL(address string) string {
	return "postgres://postgres@" + address + "/" + e.database + e.query
}

func TestNotifications(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{Engine: newLatin1(t), Refused: "/✓ ", Exact: true, Pipelined: true})
}

// Ensure the same of the table, which is read every 100 ms.
func TestTable(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{
		Engine:    newEngine(t, tableQuery),
		Lossless:  true,
		Pipelined: true,
		MaxAdded:  150 * time.Millisecond,
		Args:      []string{"--channel-prefix", "app"},
	})
}

// createLatin1 makes a database for names that are refused.
const createLatin1 = "CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
