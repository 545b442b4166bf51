package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"millrace/internal/testenv"
)

const tableQuery = "?table=solid_cable_messages"

// rails inserts a message as Solid Cable does.
const rails = `INSERT INTO "solid_cable_messages" ("created_at","channel","payload","channel_hash") VALUES (now(), $1, $2, $3)`

func insert(t *testing.T, tx pgx.Tx, channel, payload string) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), rails, []byte(channel), []byte(payload), hash(channel)); err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, p *testenv.Postgres) pgx.Tx {
	t.Helper()
	tx, err := connect(t, p).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func commit(t *testing.T, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Ensure that messages whose ids come out of order arrive once each: in the order
// of the ids when they are late by a moment, at all when by more.
func testOutOfOrder(t *testing.T, p *testenv.Postgres) {
	c := startLocal(t, p.URL()+tableQuery, Options{}).Open("", "c", "d")
	first, second, third := begin(t, p), begin(t, p), begin(t, p)
	insert(t, first, "c", "1 of c")
	insert(t, second, "d", "2 of d")
	insert(t, third, "c", "3 of c")
	insert(t, second, "c", "4 of c")
	began := time.Now()
	commit(t, third)
	commit(t, second)
	commit(t, first)
	soon := time.Since(began) < settling
	got, want := c.Next(4), []string{"1 of c", "2 of d", "3 of c", "4 of c"}
	if soon && !slices.IsSorted(got) {
		t.Fatalf("got %q, want the order of the ids", got)
	}
	if slices.Sort(got); !slices.Equal(got, want) { // a machine that is very busy may commit late
		t.Fatalf("got %q, want %q in the order of the ids", got, want)
	}

	first, second = begin(t, p), begin(t, p)
	insert(t, first, "c", "5")
	insert(t, second, "c", "6")
	commit(t, second)
	c.Want("6") // after settling
	third = begin(t, p)
	insert(t, third, "c", "7")
	commit(t, third)
	c.Want("7") // which has not to wait for the 5th once more
	commit(t, first)
	c.Want("5")
}

// Ensure that a rollback holds up no later message for long.
func testRolledBack(t *testing.T, p *testenv.Postgres) {
	c := startLocal(t, p.URL()+tableQuery, Options{}).Open("", "c")
	for i := range 5 {
		tx := begin(t, p)
		insert(t, tx, "c", "rolled back")
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		tx = begin(t, p)
		insert(t, tx, "c", fmt.Sprint(i))
		commit(t, tx)
	}
	c.Want("0", "1", "2", "3", "4")
}

// Ensure that a row that was committed before the start is not delivered, and one that was
// written before it and committed later is.
func testOpenAtStart(t *testing.T, p *testenv.Postgres) {
	open, done := begin(t, p), begin(t, p)
	insert(t, open, "c", "open")
	insert(t, done, "c", "done")
	commit(t, done)
	c := startLocal(t, p.URL()+tableQuery, Options{}).Open("", "c")
	commit(t, open)
	c.Want("open")
}

// gap is what tells of what may be missing.
const gap = "gap backplane"

// Ensure that a connection that is lost costs nothing, as long as the table keeps
// what was published meanwhile, and that the rest is told.
func testTrimmed(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	c := startLocal(t, p.URL()+tableQuery, Options{}).Open("", "c")
	publish := func(payload string) {
		t.Helper()
		query(t, conn, rails, []byte("c"), []byte(payload), hash("c"))
	}
	publish("1")
	c.Want("1")
	for i := range 5 {
		disconnect(t, conn)
		publish(fmt.Sprint(i))
		c.Want(fmt.Sprint(i))
	}

	query(t, conn, "BEGIN; LOCK TABLE solid_cable_messages")
	disconnect(t, conn)
	query(t, conn, rails, []byte("c"), []byte("lost"), hash("c"))
	query(t, conn, "DELETE FROM solid_cable_messages; COMMIT")
	c.Want(gap)
	publish("2")
	c.Want("2")
}

// disconnect has the database end all followers' connections.
func disconnect(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	query(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace'")
}

// Ensure that ids that begin anew are noticed.
func testAnew(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	c := startLocal(t, p.URL()+tableQuery, Options{}).Open("", "c")
	query(t, conn, rails, []byte("c"), []byte("1"), hash("c"))
	c.Want("1")
	query(t, conn, "TRUNCATE solid_cable_messages RESTART IDENTITY")
	query(t, conn, rails, []byte("c"), []byte("told by the gap"), hash("c"))
	c.Want(gap)
	query(t, conn, rails, []byte("c"), []byte("2"), hash("c"))
	c.Want("2")
}

// Ensure that the trigger has a message read at once, and a message without it in
// due time.
func testTrigger(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	query(t, conn, triggerSQL(t))
	t.Cleanup(func() { conn.Exec(context.Background(), "DROP FUNCTION millrace_wake CASCADE") })
	c := startLocal(t, p.URL()+tableQuery, Options{}).Open("", "c")
	for i := range 20 {
		began := time.Now()
		query(t, conn, rails, []byte("c"), fmt.Append(nil, i), hash("c"))
		c.Want(fmt.Sprint(i))
		t.Log(time.Since(began))
	}
	query(t, conn, "ALTER TABLE solid_cable_messages DISABLE TRIGGER millrace_wake")
	query(t, conn, rails, []byte("c"), []byte("quiet"), hash("c"))
	c.Want("quiet")
}

// Ensure that subscribers of notifications are told what they may have missed,
// and that others are not.
func testInterrupted(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	c := startLocal(t, p.URL(), Options{}).Open("", "c")
	for i := range 5 {
		disconnect(t, conn)
		c.Want(gap)
		query(t, conn, "SELECT pg_notify('c', $1)", fmt.Sprint(i))
		c.Want(fmt.Sprint(i))
	}
}
