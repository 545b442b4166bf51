package nats

import (
	"net"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"millrace/internal/backplane/enginetest"
)

// embedded is a NATS server in the test's process, which keeps its port.
type embedded struct {
	server *server.Server
	port   int
}

// Start implements enginetest.Engine.
func (e *embedded) Start(t testing.TB) {
	t.Helper()
	e.server = newServer(t, e.port)
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
func (e *embedded) URL(address string) string { return "nats://" + address }

func TestSuite(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{Engine: new(embedded), Args: []string{"--channel-prefix", "app"}})
}
