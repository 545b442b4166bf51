package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"millrace/channels"
)

// patience bounds every wait of these tests; none lasts that long unless
// something is broken.
const patience = 30 * time.Second

// Ensure that no test leaves a goroutine, but for those that a server of a cluster leaves.
func TestMain(m *testing.M) {
	const server = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction(server+".(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction(server+"/ats.Register.func1"),
	)
}

// newServer runs a NATS server on a port, 0 for a free one, with JetStream if there is a
// folder to store in.
func newServer(t testing.TB, port int, store string) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true,
		JetStream: store != "", StoreDir: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

// startServer is newServer for a server that ends with the test.
func startServer(t testing.TB, port int) *server.Server {
	t.Helper()
	s := newServer(t, port, "")
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// node is a broker with its backplane, and one loop.
type node struct {
	t      testing.TB
	broker *channels.Broker
	back   *Backplane
	inbox  *channels.Inbox
	woken  chan struct{}
	start  channels.Start
}

func startNode(t testing.TB, address string) *node {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Open(u, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, back: back, broker: channels.NewBroker(channels.Options{History: 100, Backplane: back}), woken: make(chan struct{}, 1)}
	n.inbox = channels.NewInbox(func() {
		select {
		case n.woken <- struct{}{}:
		default:
		}
	})
	back.Start(n.broker)
	t.Cleanup(func() { back.Close() })
	return n
}

// subscribe attaches a subscriber and waits until it may begin.
func (n *node) subscribe(names ...string) {
	n.t.Helper()
	var raw [][]byte
	for _, name := range names {
		raw = append(raw, []byte(name))
	}
	n.broker.Resume(&n.start, n.inbox, nil, 1<<20, raw...)
	for deadline := time.After(patience); !n.broker.Begin(&n.start, nil, 1<<20); {
		select {
		case <-n.woken:
		case <-deadline:
			n.t.Fatalf("%q: not followed within %v: %v", names, patience, n.back.Health())
		}
	}
}

// publish publishes until it is taken.
func (n *node) publish(channel string, ev channels.Event) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, err := n.broker.Publish(channel, ev)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("publishing on %s: %v", channel, err)
		}
	}
}

// take returns the next count messages, without their ids.
func (n *node) take(count int) (got []string) {
	n.t.Helper()
	for deadline := time.After(patience); len(got) < count; {
		select {
		case <-n.woken:
		case <-deadline:
			n.t.Fatalf("got %q, want %d messages", got, count)
		}
		messages := n.inbox.Take(nil)
		for _, m := range messages {
			fields, _, _ := strings.Cut(string(m.Wire), "id: ")
			got = append(got, m.Channel.Name()+" "+fields)
		}
		n.broker.Served(n.inbox, messages)
	}
	return got
}

// Ensure that events reach the subscribers of every node, whole, in the order of
// the server.
func TestTwoNodes(t *testing.T) {
	s := startServer(t, 0)
	one, two := startNode(t, s.ClientURL()), startNode(t, s.ClientURL())
	names := []string{"/sse/test", "news", "/größe x.y"}
	one.subscribe(names...)
	two.subscribe(names...)
	var want []string
	for i, name := range names {
		one.publish(name, channels.Event{Data: fmt.Appendf(nil, "%d\nb", i)})
		two.publish(name, channels.Event{Data: []byte{}, Type: "t", Retry: 1500 * time.Millisecond})
		two.publish("/nobody", channels.Event{Data: []byte("x")})
		want = append(want, fmt.Sprintf("%s data: %d\ndata: b\n", name, i), name+" event: t\nretry: 1500\ndata: \n")
	}
	for _, n := range []*node{one, two} {
		if got := n.take(len(want)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	receipt, err := two.broker.Publish("news", channels.Event{})
	if receipt.Receivers != 1 || err != nil {
		t.Errorf("Publish = %+v, %v, want 1 receiver, of this node", receipt, err)
	}
}

// Ensure that a node takes what programs of others publish on its subjects, and
// that what cannot be an event is told as a gap.
func TestForeignPublisher(t *testing.T) {
	s := startServer(t, 0)
	n := startNode(t, s.ClientURL())
	n.subscribe("/a.b")
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tt := range []struct {
		m    *nats.Msg
		want string
	}{
		{&nats.Msg{Data: []byte("hello")}, "/a.b data: hello\n"},
		{&nats.Msg{Data: []byte("\xff")}, gap},
		{&nats.Msg{Header: nats.Header{retryHeader: {"soon"}}}, gap},
		{&nats.Msg{Header: nats.Header{eventHeader: {"a"}, "Other": {"b"}}}, "/a.b event: a\ndata: \n"},
	} {
		tt.m.Subject = "millrace.a=2Eb"
		if err := conn.PublishMsg(tt.m); err != nil {
			t.Fatal(err)
		}
		if got := n.take(1)[0]; got != tt.want && !(tt.want == gap && strings.HasPrefix(got, gap)) {
			t.Errorf("%+v: %q, want %q", tt.m, got, tt.want)
		}
	}
}

const gap = "/a.b event: millrace.gap\ndata: {\"reason\":\"backplane\""

// Ensure that a node says that the server is gone, refuses events in bounded time,
// comes back by itself, and tells its streams what they may have missed.
func TestServerComesBack(t *testing.T) {
	s := startServer(t, 0)
	n := startNode(t, s.ClientURL())
	n.subscribe("/a.b")
	if err := n.broker.Health(); err != nil {
		t.Errorf("health: %v, want nil", err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	for deadline := time.Now().Add(patience); n.broker.Health() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the loss of the server is not noticed")
		}
	}
	if _, err := n.broker.Publish("/a.b", channels.Event{}); !errors.Is(err, errDown) {
		t.Errorf("Publish without a server: %v, want %v", err, errDown)
	}
	u, _ := url.Parse(s.ClientURL())
	port := 0
	fmt.Sscan(u.Port(), &port)
	startServer(t, port)
	if got := n.take(1)[0]; !strings.HasPrefix(got, gap) {
		t.Errorf("after the server came back: %q, want a gap", got)
	}
	n.publish("/a.b", channels.Event{Data: []byte("x")})
	if got := n.take(1)[0]; got != "/a.b data: x\n" {
		t.Errorf("%q, want the event", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"redis://x", `bad NATS URL: the scheme "redis", want nats or tls`},
		{"nats://", `bad NATS URL: "nats:" has no host, want nats://HOST:PORT`},
		{"nats://u:secret@h/x", `bad NATS URL: "nats://u:xxxxx@h/x" has the path "/x", want none`},
		{"nats://h?x=1", `bad NATS URL: "nats://h?x=1": the option "x", want credentials, history or replicas`},
		{"nats://h?history=streams", `bad NATS URL: "nats://h?history=streams": history=streams, want jetstream, or none`},
		{"nats://h?history=jetstream&replicas=6", `bad NATS URL: "nats://h?history=jetstream&replicas=6": replicas=6, want 1 to 5`},
		{"nats://h?replicas=3", `bad NATS URL: "nats://h?replicas=3": replicas=3 without history=jetstream`},
	} {
		u, err := url.Parse(tt.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(u, Options{}); err == nil || err.Error() != tt.want || !errors.Is(err, ErrURL) {
			t.Errorf("Open(%s): %v, want %s", tt.address, err, tt.want)
		}
	}
}
