package nats

import (
	"net"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"millrace/internal/backplane/enginetest"
)

// embedded is a NATS server in the test's process, which keeps its port, and what it
// has stored.
type embedded struct {
	server *server.Server
	port   int
	store  string // a folder; with JetStream
	query  string // of the URL
}

// Start implements enginetest.Engine.
func (e *embedded) Start(t testing.TB) {
	t.Helper()
	port := e.port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	e.server = runServer(t, &server.Options{Port: port, JetStream: e.store != "", StoreDir: e.store, Users: []*server.User{
		{Username: "node", Password: "secret", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: refused}}},
	}})
	e.port = e.server.Addr().(*net.TCPAddr).Port
}

// Stop implements enginetest.Engine.
func (e *embedded) Stop(testing.TB) {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// Dial implements enginetest.Engine.
func (e *embedded) Dial() (net.Conn, error) {
	return net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port)))
}

// URL implements enginetest.Engine.
func (e *embedded) URL(address string) string { return "nats://node:secret@" + address + e.query }

// refused are the subjects of channels below /stranger/, in both forms.
var refused = []string{"app.stranger.>", "=live.app.stranger.>"}

func TestSuite(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{
		Engine: new(embedded), Refused: "/stranger/", Unordered: true, Pipelined: true, Args: []string{"--channel-prefix", "app"},
	})
}

func TestJetStream(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{
		Engine: &embedded{store: t.TempDir(), query: "?history=jetstream"}, Refused: "/stranger/", Complete: true, Pipelined: true,
		Args: []string{"--channel-prefix", "app"},
	})
}
