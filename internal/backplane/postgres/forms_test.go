package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// forms are the ways through the database.
var forms = []struct{ name, query string }{
	{"notifications", ""},
	{"table", "?table=solid_cable_messages"},
	{"table of a schema", "?table=public.solid_cable_messages"},
}

// names are channels that a database could get wrong.
var names = []string{
	"/rooms/42",
	"CamelCase and spaces",
	`"quoted"; DROP TABLE "x"; -- '$1'`,
	strings.Repeat("63", 31) + "3",
	strings.Repeat("64", 32),
	strings.Repeat("ü", 31) + "3",
	strings.Repeat("ü", 32),
	strings.Repeat("世界", 11), // 22 characters, 66 bytes
	strings.Repeat("x", channels.MaxName-len("prefix:")),
	"🌍",
}

// Ensure that a payload of one node arrives at all nodes, as it was published.
func testForms(t *testing.T, p *testenv.Postgres) {
	for _, form := range forms {
		for _, prefix := range []string{"", "prefix"} {
			t.Run(form.name+" "+prefix, func(t *testing.T) {
				a := startLocal(t, p.URL()+form.query, Options{Prefix: prefix})
				b := startLocal(t, p.URL()+form.query, Options{Prefix: prefix})
				stranger := startLocal(t, p.URL()+form.query, Options{Prefix: "another"})
				other := stranger.Open("", names...)
				all := []*enginetest.Client{a.Open("", names...), b.Open("", names...)}
				var want []string
				for i, name := range names {
					one := []*enginetest.Client{a.Open("", name), b.Open("", name)}
					from := len(want)
					for _, ev := range []channels.Event{
						{Data: fmt.Appendf(nil, `{"n":%d,"text":"Grüße, '世界' \\ $1"}`, i)},
						{Data: []byte("typed"), Type: "größer", Retry: 1500e6},
						{Data: []byte(strings.Repeat("7", maxPayload))},
						{Data: nil},
					} {
						if _, err := a.Broker.Publish(name, ev); err != nil {
							t.Fatalf("%q: %.80q: %v", name, ev.Data, err)
						}
						if ev.Type != "" {
							want = append(want, "größer retry 1500 typed")
						} else {
							want = append(want, string(ev.Data))
						}
					}
					for _, c := range one {
						c.Want(want[from:]...)
						c.Close()
					}
				}
				for _, c := range all {
					c.Want(want...)
				}
				stranger.Publish("/rooms/42", "own")
				other.Want("own")
			})
		}
	}
}

// Ensure that a payload that a notification cannot carry is refused, and the table carries
// it.
func testPayloads(t *testing.T, p *testenv.Postgres) {
	for _, tt := range []struct {
		name string
		data string
		want error // of notifications
	}{
		{"7999 bytes", strings.Repeat("x", 7999), nil},
		{"8000 bytes", strings.Repeat("x", 8000), errPayload},
		{"4000 characters of two bytes", strings.Repeat("ü", 4000), errPayload},
		{"60,000 bytes", strings.Repeat("x", 60_000), errPayload},
		{"NUL", "a\x00b", nil},
	} {
		for _, form := range forms[:2] {
			n := startLocal(t, p.URL()+form.query, Options{})
			c := n.Open("", "c")
			want := tt.want
			if form.query != "" {
				want = nil
			}
			_, err := n.Broker.Publish("c", channels.Event{Data: []byte(tt.data)})
			if !errors.Is(err, want) {
				t.Errorf("%s, %s: error %v, want %v", form.name, tt.name, err, want)
			}
			if want == nil && err == nil {
				c.Want(tt.data)
			}
		}
	}
}

// Ensure that a client that knows the SHA-1 by which a long name goes neither hears that
// channel by it, nor is heard there, nor can end its notifications.
func testIdentifierTwice(t *testing.T, p *testenv.Postgres) {
	n := startLocal(t, p.URL(), Options{})
	name := strings.Repeat("long", 20)
	hashed, err := identifier(name)
	if err != nil {
		t.Fatal(err)
	}
	heard, stranger := n.Open("", name), n.Open("", hashed)
	stranger.Want("gap backplane") // for it is refused
	n.Publish(name, "1")
	if _, err := n.Broker.Publish(hashed, channels.Event{Data: []byte("forged")}); !errors.Is(err, errAmbiguous) {
		t.Errorf("Publish on the SHA-1 of a name: %v, want %v", err, errAmbiguous)
	}
	heard.Want("1")
	stranger.Close()
	n.Open("", "other") // an exchange later
	n.Publish(name, "2")
	heard.Want("2")
	stranger.WantNothing()

	prefixed := startLocal(t, p.URL(), Options{Prefix: "p"}) // no name is like a SHA-1
	c := prefixed.Open("", hashed)
	c.WantNothing()
	prefixed.Publish(hashed, "3")
	c.Want("3")
}

// Ensure that a name that the database's encoding has not concerns that channel only.
func testLatin1(t *testing.T, p *testenv.Postgres) {
	query(t, connect(t, p), createLatin1)
	n := startLocal(t, strings.TrimSuffix(p.URL(), "postgres")+"latin1", Options{})
	n.Open("", "/✓").Want("gap backplane")
	good := []string{"/a", "/größe", "/b"}
	c := n.Open("", good...)
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprint("/✓", i))
	}
	mixed := n.Open("", slices.Concat(names[:20], good[:1], names[20:40], good[1:], names[40:])...)
	mixed.Want("gap backplane")
	for _, name := range good {
		n.Publish(name, "ü")
		c.Want("ü")
		mixed.Want("ü")
	}
	if _, err := n.Broker.Publish("/✓", channels.Event{}); err == nil {
		t.Error("Publish on a name that the database's encoding has not: no error")
	}
	if err := n.Broker.Health(); err != nil {
		t.Errorf("the node is off the engine: %v", err)
	}
}

// Ensure that a pooler in session mode passes all on that both forms need.
func testPooler(t *testing.T, p *testenv.Postgres) {
	address := p.PgBouncer(t, "session")
	for _, form := range forms[:2] {
		n := startLocal(t, address+form.query, Options{})
		c := n.Open("", "/a")
		c.WantNothing()
		n.Publish("/a", form.name)
		c.Want(form.name)
	}
}

// Ensure that a row that Solid Cable would not write costs a gap, and not the node.
func testNulls(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	query(t, conn, "CREATE TABLE nulls (id bigserial, created_at timestamptz, channel bytea, payload bytea, channel_hash bigint)")
	n := startLocal(t, p.URL()+"?table=nulls", Options{})
	c := n.Open("", "/a")
	for i, values := range []string{"NULL, NULL, NULL", "'/a', NULL, 1", "'/a', 'x', NULL"} {
		query(t, conn, "INSERT INTO nulls (channel, payload, channel_hash) VALUES ("+values+")")
		c.Want("gap backplane")
		n.Publish("/a", fmt.Sprint(i))
		c.Want(fmt.Sprint(i))
	}
}

// Ensure that the permissions of docs/scaling.md are enough.
func testLeastPermissions(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	query(t, conn, "CREATE ROLE least LOGIN")
	query(t, conn, "GRANT SELECT, INSERT ON solid_cable_messages TO least; GRANT USAGE ON SEQUENCE solid_cable_messages_id_seq TO least")
	for _, form := range forms[:2] {
		n := startLocal(t, strings.Replace(p.URL(), "postgres@", "least@", 1)+form.query, Options{})
		c := n.Open("", "/a")
		c.WantNothing()
		n.Publish("/a", form.name)
		c.Want(form.name)
	}
}

// Ensure that payloads of any bytes cross the database, in each form.
func testBinary(t *testing.T, p *testenv.Postgres) {
	for _, form := range forms {
		var opts Options
		enginetest.Binary(t, p.URL()+form.query, 0, func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
			opts.Logger = log
			return Open(u, opts)
		})
	}
}
