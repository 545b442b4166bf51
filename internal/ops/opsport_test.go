package ops

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/eventstream"
	"millrace/internal/testenv"
	"millrace/server"
)

// dial opens a connection to the ops port that sends text, until the test ends.
func (n *node) dial(text string) net.Conn {
	n.t.Helper()
	conn, err := net.Dial("tcp", n.ops.Addr().String())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		n.t.Fatal(err)
	}
	return conn
}

// Ensure that when all connections are taken the one that was idle for longest goes,
// whatever it waits for.
func TestIdleConnectionsGo(t *testing.T) {
	for _, idle := range []string{"", "GET /met", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "} {
		n := start(t, Config{MaxConnections: 16}, channels.Options{}, server.Config{Loops: 1})
		first := n.dial(idle)
		testenv.Eventually(n.t, "it has a place", func() bool { return n.ops.Stats().Open == 1 })
		for range 20 {
			n.dial("")
		}
		if _, err := io.Copy(io.Discard, first); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("the connection with %q: %v, want it ended", idle, err)
		}
		n.want("GET", "/metrics", "", 200, "millrace_ops_connections_max 16\n")
		if got := n.ops.Stats(); got.Open > 16 || got.Displaced == 0 {
			t.Errorf("%+v, want at most 16 open, and some displaced", got)
		}
	}
}

// Ensure that while every connection has a request that is being answered, questions
// about health are answered, and others are told to come back.
func TestPlacesAreKeptForHealth(t *testing.T) {
	n := start(t, Config{MaxConnections: 16}, channels.Options{}, server.Config{Loops: 1})
	n.ops.streams.SetMost(100)
	var streams []*eventstream.Reader
	for range 14 {
		streams = append(streams, n.follow("/follow?channel=/a"))
	}
	for range 5 {
		n.dial("")
		n.want("GET", "/healthz", "", 200, "ok")
		n.want("GET", "/readyz", "", 200, "ok")
		n.want("GET", "/metrics", "", 503, "16 connections are open on this port")
	}
	n.want("POST", "/publish?channel=/a", "hello", 503, "")
	n.broker.Publish("/a", channels.Event{Data: []byte("hello")})
	for _, stream := range streams {
		if data := await(t, stream, ""); data != "hello" {
			t.Errorf("a follower got %q, want hello", data)
		}
	}
	if got := n.ops.Stats(); got.Rejected != 6 || got.Open > 16 {
		t.Errorf("%+v, want 6 rejected and at most 16 open", got)
	}
}

// Ensure that a refusal does not wait for a body, and that a late body is never
// taken for a request.
func TestRefusalsDoNotWaitForBodies(t *testing.T) {
	n := start(t, Config{Token: "secret"}, channels.Options{}, server.Config{Loops: 1})
	const inside = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	var asking sync.WaitGroup
	for _, tt := range []struct {
		target, headers, body string
		status                int
	}{
		{"/publish?channel=/a", "Content-Length: 1000000", "", 401},
		{"/publish?channel=/a", "Content-Length: 1000", "", 401},
		{"/publish?channel=/a", "Content-Length: 1000", inside, 401},
		{"/publish?channel=/a", "Transfer-Encoding: chunked", "", 401},
		{"/publish?channel=/a", "Transfer-Encoding: chunked", "5\r\nhello\r\n", 401},
		{"/publish", "Authorization: Bearer secret\r\nContent-Length: 1000", inside, 400},
		{"/publish?channel=/a", "Authorization: Bearer secret\r\nContent-Length: 1000000", strings.Repeat("x", 70_000), 413},
		{"/publish?channel=/a", "Sec-Fetch-Site: cross-site\r\nContent-Length: 1000", "", 403},
		{"/healthz", "Content-Length: 1000", inside, 405},
	} {
		conn := n.dial(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%s", tt.target, tt.headers, tt.body))
		asking.Go(func() {
			began, lines := time.Now(), bufio.NewReader(conn)
			answer, err := http.ReadResponse(lines, nil)
			if err != nil {
				t.Errorf("POST %s with %q: %v", tt.target, tt.headers, err)
				return
			}
			text, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != tt.status || !answer.Close {
				t.Errorf("POST %s with %q: %s %q, close: %v; want %d, and the end", tt.target, tt.headers, answer.Status, text, answer.Close, tt.status)
			}
			if rest, _ := io.ReadAll(lines); len(rest) > 0 {
				t.Errorf("POST %s with %q: after the answer comes %q", tt.target, tt.headers, rest)
			}
			if took := time.Since(began); took > requestTimeout/2 {
				t.Errorf("POST %s with %q: closed after %v", tt.target, tt.headers, took)
			}
		})
	}
	asking.Wait()
	n.want("POST", "/publish?channel=/a", "x", 200, "", "Authorization: Bearer secret")
}

// Ensure that answers to wrong tokens wait, no more than so many, and the right one and
// requests without any never do.
func TestWrongTokens(t *testing.T) {
	n := start(t, Config{Token: "secret"}, channels.Options{}, server.Config{Loops: 1})
	n.ops.guard.guesses.Delay = time.Hour
	const guesses = 100
	for range guesses {
		n.dial("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n")
	}
	testenv.Eventually(n.t, "all are counted", func() bool { return n.ops.Stats().WrongTokens == guesses })
	testenv.Eventually(n.t, "those that do not wait are closed", func() bool { return n.ops.Stats().Open == 64 })
	n.want("GET", "/metrics", "", 200, "\nmillrace_ops_wrong_tokens_total 100\n", "Authorization: Bearer secret")
	n.want("GET", "/metrics", "", 401, "")
	if got := n.ops.Stats().Refused; got != 1 {
		t.Errorf("%d refused, want 1: the others wait", got)
	}
}

// Ensure that every error is JSON that says what would be right, also those of net/http.
func TestErrorsAreJSON(t *testing.T) {
	n := start(t, Config{MaxEventBytes: 1 << 10}, channels.Options{MaxEventBytes: 1 << 10}, server.Config{Loops: 1})
	for _, tt := range []struct {
		method, target, body string
		status               int
		text                 string
	}{
		{"GET", "/nothing", "", 404, `nothing is at "/nothing"`},
		{"GET", "/dashboard/", "", 404, `nothing is at "/dashboard/"`},
		{"GET", "/dashboard/nothing.js", "", 404, `nothing is at "/dashboard/nothing.js"`},
		{"GET", "/publish", "", 405, "GET of \"/publish\", want POST"},
		{"POST", "/channels", "", 405, "POST of \"/channels\", want GET, HEAD"},
		{"DELETE", "/healthz", "", 405, "DELETE of \"/healthz\", want GET, HEAD"},
		{"GET", "/debug/pprof/nothing", "", 404, "Unknown profile"},
		{"GET", "/debug/pprof/heap?seconds=x", "", 400, "seconds"},
		{"GET", "/channels//nobody", "", 404, "no channel"},
		{"POST", "/publish?channel=/a", strings.Repeat("x", 2<<10), 413, "1024 bytes, which is --max-event-bytes"},
		{"POST", "/publish?channel=/a&event=abc", strings.Repeat("x", 1<<10), 413, "--max-event-bytes"},
		{"POST", "/publish?channel=/a", strings.Repeat("\n", 1<<9), 413, "--max-event-bytes"},
	} {
		request := n.request(tt.method, tt.target, tt.body)
		response, err := n.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		var answer struct{ Error string }
		if err := json.Unmarshal(text, &answer); err != nil || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %q as %q, want JSON: %v", tt.method, tt.target, text, response.Header.Get("Content-Type"), err)
		}
		if response.StatusCode != tt.status || !strings.Contains(answer.Error, tt.text) {
			t.Errorf("%s %s: %s %q, want %d with %q", tt.method, tt.target, response.Status, answer.Error, tt.status, tt.text)
		}
	}
}

// Ensure that profiles are bounded.
func TestProfilesAreBounded(t *testing.T) {
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1})
	for range maxProfiles {
		n.dial("GET /debug/pprof/goroutine?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	testenv.Eventually(n.t, "they are being made", func() bool { return n.ops.profiles.Open() == maxProfiles })
	n.want("GET", "/debug/pprof/heap", "", 503, "8 profiles are being made")
}
