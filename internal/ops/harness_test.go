package ops

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/eventstream"
	"millrace/internal/testenv"
	"millrace/server"
)

// patience bounds every wait.
const patience = testenv.Patience

// node is a real server with its ops port.
type node struct {
	t      testing.TB
	broker *channels.Broker
	public *server.Server
	ops    *Server
	client *http.Client
}

// open opens a node whose event loops have not begun, until the test ends, and
// then checks that it left no goroutine.
func open(t testing.TB, cfg Config, opts channels.Options, streams server.Config) *node {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	n := &node{t: t, broker: channels.NewBroker(opts), client: &http.Client{Transport: new(http.Transport)}}
	streams.Logger = slog.New(slog.DiscardHandler)
	if streams.TLSListen == "" {
		streams.Listen = "127.0.0.1:0"
	}
	var err error
	if n.public, err = server.New(streams, n.broker); err != nil {
		t.Fatal(err)
	}
	cfg.Broker, cfg.Streams = n.broker, n.public
	if n.ops, err = Listen("127.0.0.1:0", cfg); err != nil {
		n.public.Close()
		t.Fatal(err)
	}
	served, first := make(chan error, 1), n.ops
	go func() { served <- first.Serve() }()
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		if err := n.ops.Close(); err != nil {
			t.Errorf("closing the ops port: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		n.public.Close()
		goleak.VerifyNone(t, leaks)
	})
	return n
}

// start is open, and the loops turn.
func start(t testing.TB, cfg Config, opts channels.Options, streams server.Config) *node {
	t.Helper()
	n := open(t, cfg, opts, streams)
	n.public.Start()
	return n
}

// request is a request to the ops port, with headers as "Name: value".
func (n *node) request(method, target, body string, headers ...string) *http.Request {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	n.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.ops.Addr().String()+target, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	return r
}

// ask makes a request and returns the status and body of the answer.
func (n *node) ask(method, target, body string, headers ...string) (int, string) {
	n.t.Helper()
	response, err := n.client.Do(n.request(method, target, body, headers...))
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, target, err)
	}
	return response.StatusCode, string(text)
}

// want makes a request and compares the answer, of which the body must contain
// text.
func (n *node) want(method, target, body string, status int, text string, headers ...string) {
	n.t.Helper()
	gotStatus, got := n.ask(method, target, body, headers...)
	if gotStatus != status || !strings.Contains(got, text) {
		n.t.Errorf("%s %s with %.40q %q: %d %.300q, want %d with %q", method, target, body, headers, gotStatus, got, status, text)
	}
}

// subscribe opens a stream on the public port until the test ends.
func (n *node) subscribe(path string) *eventstream.Reader {
	n.t.Helper()
	return n.stream("http://" + n.public.Addr().String() + path)
}

// stream opens an event stream until the test ends.
func (n *node) stream(url string) *eventstream.Reader {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), "GET", url, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	response, err := n.client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		n.t.Fatalf("GET %s: %s", url, response.Status)
	}
	stream := &eventstream.Reader{Strict: true}
	stream.Reset(bufio.NewReader(response.Body))
	return stream
}

// await reads events until one has a type, "" for none, and returns its data.
func await(t testing.TB, stream *eventstream.Reader, kind string) (data string) {
	t.Helper()
	for {
		ev, err := stream.Next()
		if err != nil {
			t.Fatalf("the stream ended before an event of type %q: %v", kind, err)
		}
		if !ev.Empty && ev.Type == kind {
			return ev.Data
		}
	}
}
