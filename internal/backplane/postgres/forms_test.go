package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"millrace/channels"
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

// Ensure that what one node publishes arrives at all, as it was published.
func testForms(t *testing.T, p *testenv.Postgres) {
	for _, form := range forms {
		for _, prefix := range []string{"", "prefix"} {
			t.Run(form.name+" "+prefix, func(t *testing.T) {
				a := newNode(t, p.URL()+form.query, Options{Prefix: prefix})
				b := newNode(t, p.URL()+form.query, Options{Prefix: prefix})
				stranger := newNode(t, p.URL()+form.query, Options{Prefix: "another"})
				a.subscribe(t, names...)
				b.subscribe(t, names...)
				stranger.subscribe(t, names...)
				var want []string
				for i, name := range names {
					for _, ev := range []channels.Event{
						{Data: fmt.Appendf(nil, `{"n":%d,"text":"Grüße, '世界' \\ $1"}`, i)},
						{Data: []byte("typed"), Type: "größer", Retry: 1500e6},
						{Data: []byte(strings.Repeat("7", maxPayload))},
						{Data: nil},
					} {
						if _, err := a.Publish(name, ev); err != nil {
							t.Fatalf("%q: %.80q: %v", name, ev.Data, err)
						}
						if ev.Type != "" {
							want = append(want, name+" event: größer\nretry: 1500\ndata: typed")
						} else {
							want = append(want, name+" data: "+string(ev.Data))
						}
					}
				}
				a.expect(t, want...)
				b.expect(t, want...)
				if _, err := stranger.Publish("/rooms/42", channels.Event{Data: []byte("own")}); err != nil {
					t.Fatal(err)
				}
				stranger.expect(t, "/rooms/42 data: own")
			})
		}
	}
}

// Ensure that what a notification cannot carry is refused, and the table carries
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
		{"NUL", "a\x00b", errNUL},
	} {
		for _, form := range forms[:2] {
			n := newNode(t, p.URL()+form.query, Options{})
			n.subscribe(t, "c")
			want := tt.want
			if form.query != "" {
				want = nil
			}
			_, err := n.Publish("c", channels.Event{Data: []byte(tt.data)})
			if !errors.Is(err, want) {
				t.Errorf("%s, %s: error %v, want %v", form.name, tt.name, err, want)
			}
			if want == nil && err == nil {
				n.expect(t, "c data: "+tt.data)
			}
		}
	}
}

// Ensure that a channel that is named as another one's SHA-1 is a channel of its
// own.
func testIdentifierTwice(t *testing.T, p *testenv.Postgres) {
	n := newNode(t, p.URL(), Options{})
	long := strings.Repeat("long", 20)
	n.subscribe(t, long, "other")
	if _, err := n.Publish(identifier(long), channels.Event{Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	n.expect(t, long+" data: 1") // nobody could tell them apart
	n.subscribe(t, identifier(long))
	if _, err := n.Publish(long, channels.Event{Data: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	n.expect(t, long+" data: 2", identifier(long)+" data: 2")
}
