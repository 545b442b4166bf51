package postgres

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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

// long bounds every wait; none lasts that long unless something is broken.
const long = 30 * time.Second

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

// node is a broker with a backplane, and one subscriber.
type node struct {
	*channels.Broker
	back  *Backplane
	inbox *channels.Inbox
	woken chan struct{}
	got   []*channels.Message
}

func newNode(t *testing.T, address string, opts Options) *node {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	back, err := Open(u, opts)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Broker: channels.NewBroker(channels.Options{Backplane: back}), back: back, woken: make(chan struct{}, 1)}
	n.inbox = n.NewInbox(func() {
		select {
		case n.woken <- struct{}{}:
		default:
		}
	})
	back.Start(n.Broker.Feed())
	t.Cleanup(func() { back.Close() })
	return n
}

// startLocal runs a node whose streams are told of gaps.
func startLocal(t *testing.T, address string, opts Options) *enginetest.Local {
	t.Helper()
	return enginetest.StartLocal(t, address, channels.Options{}, func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
		opts.Logger = log
		return Open(u, opts)
	})
}

// subscribe listens to the channels, and waits until that is so.
func (n *node) subscribe(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		n.inbox.Attach(nil, []byte(name))
	}
	ready := 0
	for deadline := time.After(long); ready < len(names); {
		ready += len(n.inbox.TakeFollowed(nil))
		if ready == len(names) {
			break
		}
		select {
		case <-n.woken:
		case <-deadline:
			t.Fatalf("%d of %d channels are followed: %v", ready, len(names), n.Health())
		}
	}
}

func (n *node) publish(t *testing.T, channel, data string) {
	t.Helper()
	if _, err := n.Publish(channel, channels.Event{Data: []byte(data)}); err != nil {
		t.Fatalf("%q: %v", channel, err)
	}
}

// next returns the wire form of the next message or gap.
func (n *node) next(t *testing.T) string {
	t.Helper()
	for deadline := time.After(long); len(n.got) == 0; {
		messages := n.inbox.Take(nil)
		gaps, _ := n.inbox.Gaps(nil, 0, math.MaxInt)
		n.inbox.Served(messages)
		n.got = slices.Concat(messages, gaps)
		slices.SortFunc(n.got, func(a, b *channels.Message) int { return cmp.Compare(a.Seq, b.Seq) })
		if len(n.got) > 0 {
			break
		}
		select {
		case <-n.woken:
		case <-deadline:
			t.Fatalf("no message: %v", n.Health())
		}
	}
	m := n.got[0]
	n.got = n.got[1:]
	return m.Channel.Name() + " " + strings.TrimSuffix(string(m.Wire), "\n\n")
}

// expect compares the next messages.
func (n *node) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := n.next(t); got != w {
			t.Fatalf("got %.200q, want %.200q", got, w)
		}
	}
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
