package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

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
	return runServer(t, &server.Options{Port: port, JetStream: store != "", StoreDir: store})
}

// runServer runs a NATS server on loopback.
func runServer(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoLog, o.NoSigs = "127.0.0.1", true, true
	s, err := server.NewServer(o)
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
func startServer(t testing.TB, port int, store string) *server.Server {
	t.Helper()
	return endServer(t, newServer(t, port, store))
}

// endServer has a server end with the test.
func endServer(t testing.TB, s *server.Server) *server.Server {
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// startNode runs a node in the test's process.
func startNode(t testing.TB, address string, o Options) *enginetest.Local {
	t.Helper()
	return enginetest.StartLocal(t, address, channels.Options{History: o.History, HistoryTTL: o.HistoryTTL},
		func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
			o.Logger = log
			return Open(u, o)
		})
}

// Ensure that events reach the subscribers of every node, whole, in the order of
// the server.
func TestTwoNodes(t *testing.T) {
	s := startServer(t, 0, "")
	one, two := startNode(t, s.ClientURL(), Options{History: 100}), startNode(t, s.ClientURL(), Options{History: 100})
	names := []string{"/sse/test", "news", "/größe x.y"}
	streams := []*enginetest.Client{one.Open("", names...), two.Open("", names...)}
	var want []string
	for i, name := range names {
		one.Publish(name, fmt.Sprintf("%d\nb", i))
		two.PublishEvent(name, channels.Event{Data: []byte{}, Type: "t", Retry: 1500 * time.Millisecond})
		two.Publish("/nobody", "x")
		want = append(want, fmt.Sprintf("%d\nb", i), "t retry 1500 ")
	}
	for _, stream := range streams {
		stream.Want(want...)
	}
	receipt, err := two.Broker.Publish("news", channels.Event{})
	if receipt.Receivers != 1 || err != nil {
		t.Errorf("Publish = %+v, %v, want 1 receiver, of this node", receipt, err)
	}
}

// Ensure that a node takes what programs of others publish on its subjects, and
// that what cannot be an event is told as a gap.
func TestForeignPublisher(t *testing.T) {
	s := startServer(t, 0, "")
	stream := startNode(t, s.ClientURL(), Options{}).Open("", "/a.b")
	conn, _ := connect(t, s.ClientURL())
	for _, tt := range []struct {
		m    *nats.Msg
		want string
	}{
		{&nats.Msg{Data: []byte("\xff")}, "gap backplane"},
		{&nats.Msg{Data: []byte("hello")}, "hello"},
		{&nats.Msg{Header: nats.Header{retryHeader: {"soon"}}}, "gap backplane"},
		{&nats.Msg{Header: nats.Header{eventHeader: {"a"}, "Other": {"b"}}}, "a "},
	} {
		tt.m.Subject = "millrace.a=2Eb"
		if err := conn.PublishMsg(tt.m); err != nil {
			t.Fatal(err)
		}
		stream.Want(tt.want)
	}
}

// Ensure that a node says that the server is gone, refuses events in bounded time,
// comes back by itself, and tells its streams what they may have missed.
func TestServerComesBack(t *testing.T) {
	s := startServer(t, 0, "")
	n := startNode(t, s.ClientURL(), Options{})
	stream := n.Open("", "/a.b")
	port := s.Addr().(*net.TCPAddr).Port
	n.AwaitHealth(true)
	s.Shutdown()
	s.WaitForShutdown()
	n.AwaitHealth(false)
	if _, err := n.Broker.Publish("/a.b", channels.Event{}); !errors.Is(err, errDown) {
		t.Errorf("Publish without a server: %v, want %v", err, errDown)
	}
	startServer(t, port, "")
	stream.Want("gap backplane")
	n.Publish("/a.b", "x")
	stream.Want("x")
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"redis://x", `bad NATS URL: the scheme "redis", want nats or tls`},
		{"nats://", `bad NATS URL: "nats:" has no host, want nats://HOST:PORT`},
		{"nats://u:secret@h/x", `bad NATS URL: "nats://u:xxxxx@h/x" has the path "/x", want none`},
		{"nats://h?x=1", `bad NATS URL: "nats://h?x=1": the option "x", want credentials, ca, cert, key, history or replicas`},
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
