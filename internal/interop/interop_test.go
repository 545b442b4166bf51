// Package interop holds millrace against clients that nobody here wrote:
// publishers that speak the Redis protocol to the admin port, and subscribers
// that read event streams. It consists of tests only. Those of the clients from
// npm need `npm ci` in testdata/node.
package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

// patience bounds every wait. Browsers and clients from npm take theirs to begin.
const patience = 2 * testenv.Patience

const channel = "/sse/test"

// messages are what every client has to carry unchanged. wire is the form in
// the stream, without an id.
var messages = []struct{ data, event, wire string }{
	{`{"foo":"bar"}`, "", "data: {\"foo\":\"bar\"}\n\n"},
	{"  two leading spaces, two trailing  ", "", "data:   two leading spaces, two trailing  \n\n"},
	{"Grüße, 世界, \U0001f30d\u200d\u2028", "", "data: Grüße, 世界, \U0001f30d\u200d\u2028\n\n"},
	{"id: 7: no field of its own", "", "data: id: 7: no field of its own\n\n"},
	{`'single' "double" \backslash $HOME %s`, "", "data: 'single' \"double\" \\backslash $HOME %s\n\n"},
	{"unix\ndos\r\nmac\rblank\n\nlast", "", "data: unix\ndata: dos\ndata: mac\ndata: blank\ndata: \ndata: last\n\n"},
	{"\nbetween blank lines\n", "", "data: \ndata: between blank lines\ndata: \n\n"},
	{"named", "größer", "event: größer\ndata: named\n\n"},
	{strings.Repeat("long ", 8000), "", "data: " + strings.Repeat("long ", 8000) + "\n\n"},
}

// joined is data as a client hands it on: with LF between the lines.
func joined(data string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
}

// fixture is a whole millrace within the test.
type fixture struct {
	t      *testing.T
	server *server.Server
	broker *channels.Broker
	public string // address
	admin  string // address
}

// start runs a millrace until the test ends and then checks that it left no
// goroutine. Its events carry the ids "e-1", "e-2", ... if history is not 0.
func start(t *testing.T, cfg server.Config, history int) *fixture {
	cfg.Listen = "127.0.0.1:0"
	return startRun(t, cfg, channels.Options{History: history, Epoch: "e"})
}

// startRun is start with all options.
func startRun(t *testing.T, cfg server.Config, opts channels.Options) *fixture {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	n, err := node.Start(node.Options{Public: cfg, Broker: opts, Admin: node.AdminPort{Listen: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		goleak.VerifyNone(t, leaks)
	})
	return &fixture{t, n.Streams(), n.Broker(), n.PublicAddr(), n.AdminAddr()}
}

// awaitSubscribers waits until the channel has n.
func (f *fixture) awaitSubscribers(n int) {
	f.t.Helper()
	f.awaitSubscribersOf(channel, n)
}

// awaitSubscribersOf is awaitSubscribers of any channel.
func (f *fixture) awaitSubscribersOf(channel string, n int) {
	f.t.Helper()
	testenv.Eventually(f.t, fmt.Sprintf("%d subscribers of %s", n, channel), func() bool {
		return f.broker.Ports().Subscribers(channel) == n
	})
}

// publish publishes to the one subscriber.
func (f *fixture) publish(ev channels.Event) {
	f.t.Helper()
	if n, err := f.broker.Publish(channel, ev); n.Receivers != 1 || err != nil {
		f.t.Fatalf("Publish(%q, %.40q): %v receivers, %v, want 1", channel, ev.Data, n, err)
	}
}

// wire opens a stream over a plain socket and returns a function that compares
// its next bytes.
func (f *fixture) wire() (want func(string)) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.public)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", channel)
	want = func(text string) {
		f.t.Helper()
		got := make([]byte, len(text))
		for n := 0; n < len(got); {
			m, err := conn.Read(got[n:])
			if n += m; err != nil || !strings.HasPrefix(text, string(got[:n])) {
				f.t.Fatalf("the stream carried %.200q, want %.200q (%v)", got[:n], text, err)
			}
		}
	}
	want("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n" +
		"X-Accel-Buffering: no\r\nConnection: close\r\n\r\n:\n\n")
	return want
}

// command returns a program that is killed when the test is over or takes too
// long.
func command(t *testing.T, tool string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testenv.Need(t, tool), args...)
	cmd.WaitDelay = time.Second
	return cmd
}

// script returns one of the programs for Node in testdata/node.
func script(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	needModules(t)
	return command(t, "node", append([]string{filepath.Join(nodeDir, name)}, args...)...)
}

// nodeDir has programs for Node, and the modules that they and others need.
const nodeDir = "testdata/node"

// needModules skips or fails the test if the modules are not installed whole: npm writes
// its lock file last.
func needModules(t *testing.T) {
	t.Helper()
	testenv.NeedFile(t, filepath.Join(nodeDir, "node_modules/.package-lock.json"), "run `npm ci` in internal/interop/"+nodeDir)
}

// withModules returns a folder for programs for Node that finds the modules.
func withModules(t *testing.T) (dir string) {
	t.Helper()
	needModules(t)
	dir = t.TempDir()
	modules, err := filepath.Abs(filepath.Join(nodeDir, "node_modules"))
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
