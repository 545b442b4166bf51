package nats

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace/internal/backplane/enginetest"
)

// connect connects a program that is no node.
func connect(t testing.TB, address string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := nats.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}

// Ensure that a client is told that something is missing when it is, and only then.
func TestEvicted(t *testing.T) {
	s := startServer(t, 0, t.TempDir())
	address := s.ClientURL() + "?history=jetstream"
	o := Options{History: 3, HistoryTTL: time.Hour}
	one := startNode(t, address, o)
	quiet := one.Publish("/quiet", "q")
	ids := []string{one.Publish("/a", "0")}
	for i := 1; i < 10; i++ {
		ids = append(ids, one.Publish("/a", fmt.Sprint(i)))
	}
	for _, node := range []*enginetest.Local{one, startNode(t, address, o)} {
		node.Open(ids[5], "/a").Want("gap evicted", "7", "8", "9")
		node.Open(ids[0], "/a").Want("gap evicted", "7", "8", "9")
		node.Open(ids[7], "/a").Want("8", "9")
		node.Open("earliest", "/a").Want("7", "8", "9")
		node.Open(ids[9], "/a").WantNothing()
		node.Open(quiet, "/quiet", "/none").WantNothing()
		node.Open(quiet, "/a", "/quiet").Want("gap evicted", "7", "8", "9")
	}
}

// Ensure that messages that are too old are neither shown nor lost in silence.
func TestTTL(t *testing.T) {
	s := startServer(t, 0, t.TempDir())
	address := s.ClientURL() + "?history=jetstream"
	o := Options{History: 10, HistoryTTL: time.Hour}
	id := startNode(t, address, o).Publish("/a", "1")
	o.HistoryTTL = time.Nanosecond
	old := startNode(t, address, o)
	old.Open("earliest", "/a").WantNothing()
	stream := old.Open(id, "/a")
	old.Publish("/a", "2")
	stream.Want("2")
	startNode(t, address, o).Open(id, "/a").Want("gap evicted")
}

// Ensure that a stream that is gone is made anew, and streams are told.
func TestStreamDeleted(t *testing.T) {
	s := startServer(t, 0, t.TempDir())
	_, js := connect(t, s.ClientURL())
	address := s.ClientURL() + "?history=jetstream"
	o := Options{History: 10}
	one, two := startNode(t, address, o), startNode(t, address, o)
	first, second := one.Open("", "/a"), two.Open("", "/a", "/b")
	before := one.Publish("/a", "1")
	first.Want("1")
	second.Want("1")
	if err := js.DeleteStream(t.Context(), DefaultPrefix); err != nil {
		t.Fatal(err)
	}
	one.Publish("/a", "2")
	two.Publish("/b", "3")
	one.Publish("/a", "4")
	for _, tt := range []struct {
		stream *enginetest.Client
		want   []string
	}{{first, []string{"2", "4"}}, {second, []string{"2", "3", "4"}}} {
		var got []string
		gap := false
		for len(got) < len(tt.want) || !gap {
			if ev := tt.stream.Next(1)[0]; ev == "gap restart" {
				gap = true
			} else {
				got = append(got, ev)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("after the stream was deleted, got %q, want %q", got, tt.want)
		}
	}
	two.Open(before, "/a").Want("gap restart", "2", "4")
	startNode(t, address, o).Open(before, "/a").Want("gap restart", "2", "4")
}

// Ensure that messages of other programs are kept like any others, and that what
// cannot be an event is told as a gap.
func TestForeignKept(t *testing.T) {
	s := startServer(t, 0, t.TempDir())
	conn, _ := connect(t, s.ClientURL())
	address := s.ClientURL() + "?history=jetstream"
	o := Options{History: 10}
	one := startNode(t, address, o)
	stream := one.Open("", "/rooms/42")
	publish := func(data string) {
		t.Helper()
		if err := conn.Publish("millrace.rooms.42", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	publish("1")
	stream.Want("1")
	id := stream.LastID
	publish("2")
	stream.Want("2")
	one.Open(id, "/rooms/42").Want("2")
	publish("\xff")
	stream.Want("gap backplane")
	publish("3")
	stream.Want("3")
	two := startNode(t, address, o)
	two.Open(id, "/rooms/42").Want("gap evicted", "2", "3")
	two.Open(stream.LastID, "/rooms/42").WantNothing()
}

// Ensure that nodes that want more and less kept do not quarrel, and that what less was
// kept of is not taken for everything.
func TestHistoryRaised(t *testing.T) {
	s := startServer(t, 0, t.TempDir())
	_, js := connect(t, s.ClientURL())
	address := s.ClientURL() + "?history=jetstream"
	less := startNode(t, address, Options{History: 2})
	var ids []string
	for i := range 5 {
		ids = append(ids, less.Publish("/a", fmt.Sprint(i)))
	}
	more := startNode(t, address, Options{History: 4})
	more.Open(ids[0], "/a").Want("gap evicted", "3", "4")
	ids = append(ids, less.Publish("/a", "5"), less.Publish("/a", "6"))
	startNode(t, address, Options{History: 4}).Open(ids[5], "/a").Want("6")
	less.AwaitHealth(true)
	stream, err := js.Stream(t.Context(), DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config.MaxMsgsPerSubject; got != 4 {
		t.Errorf("the stream keeps %d of a channel, want 4, as the last node that connected says", got)
	}
}

// Ensure that streams are told when the server comes back with old data, and that new
// messages are not taken for those that are lost.
func TestServerForgets(t *testing.T) {
	e := &embedded{store: t.TempDir(), query: "?history=jetstream"}
	e.Start(t)
	defer func() { e.Stop(t) }()
	n := startNode(t, e.URL(e.server.Addr().String()), Options{History: 10})
	stream := n.Open("", "/a")
	one := n.Publish("/a", "1")
	old := t.TempDir()
	e.Stop(t)
	if err := os.CopyFS(old, os.DirFS(e.store)); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	n.Publish("/a", "2")
	three := n.Publish("/a", "3")
	stream.Want("1", "2", "3")
	e.Stop(t)
	e.store = old
	e.Start(t)
	stream.Want("gap backplane")
	n.Publish("/a", "4")
	stream.Want("4")
	other := startNode(t, e.URL(e.server.Addr().String()), Options{History: 10})
	other.Open(one, "/a").Want("gap evicted", "4")
	other.Open(three, "/a").Want("gap evicted", "4")
}
