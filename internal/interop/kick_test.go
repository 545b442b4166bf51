package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/internal/eventstream"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

// startLinked runs two nodes that a Redis links and that share a key of tickets, until the
// test ends.
func startLinked(t *testing.T) (here, there *node.Node) {
	t.Helper()
	port := freePort(t)
	background(t, command(t, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()), "(eady to accept connections)")
	start := func() *node.Node {
		n, err := node.Start(node.Options{
			Public: server.Config{Listen: "127.0.0.1:0"}, Admin: node.AdminPort{Listen: "127.0.0.1:0"},
			Access:    node.Access{TicketKeys: strings.Repeat("k", 32)},
			Backplane: "redis://127.0.0.1:" + port,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		testenv.Eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
		return n
	}
	return start(), start()
}

// ticketed is a stream that was opened by a ticket.
type ticketed struct {
	eventstream.Reader
	body    io.Closer
	renewal string
}

// openTicket opens a stream by a ticket, or returns the status of the refusal.
func openTicket(t *testing.T, n *node.Node, ticket string) (*ticketed, int) {
	t.Helper()
	response := ask(t, "http://"+n.PublicAddr()+"/events?ticket="+ticket)
	if response.StatusCode != http.StatusOK {
		return nil, response.StatusCode
	}
	s := &ticketed{body: response.Body}
	s.Reset(bufio.NewReader(response.Body))
	first, err := s.Next()
	var data struct{ Renewal string }
	if err == nil {
		err = json.Unmarshal([]byte(first.Data), &data)
	}
	if err != nil || data.Renewal == "" {
		t.Fatalf("the stream begins with %+v, %v, want a renewal", first, err)
	}
	s.renewal = data.Renewal
	return s, http.StatusOK
}

// Ensure that a kick at one node ends the streams of its user on all, and makes void what
// the user has from before, and that a ticket that one node has opened is spent on all.
func TestKickAcrossNodes(t *testing.T) {
	here, there := startLinked(t)
	client := redis.NewClient(&redis.Options{Addr: here.AdminAddr(), Protocol: 3})
	defer client.Close()
	issue := func(user string) string {
		t.Helper()
		ticket, err := client.Do(t.Context(), "SSE.TICKET", "EX", 60, "USER", user, "/rooms/1").Text()
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	open := func(n *node.Node, ticket string) *ticketed {
		t.Helper()
		s, status := openTicket(t, n, ticket)
		if s == nil {
			t.Fatalf("a ticket opens no stream: %d", status)
		}
		return s
	}
	first := issue("u")
	one, two, other := open(here, first), open(there, issue("u")), open(there, issue("v"))
	unused := issue("u")
	testenv.Eventually(t, "a node hears which tickets are spent", func() bool { return there.Tickets().Known >= 3 })
	if _, status := openTicket(t, there, first); status != http.StatusUnauthorized {
		t.Errorf("a ticket that another node has opened: %d, want 401", status)
	}

	if ended, err := client.Do(t.Context(), "SSE.KICK", "USER", "u").Int(); ended != 1 || err != nil {
		t.Fatalf("SSE.KICK USER u: %d, %v, want 1 on this node", ended, err)
	}
	for _, s := range []*ticketed{one, two} {
		if retry := untilEnd(t, s); retry <= 0 {
			t.Errorf("a stream that was kicked ends with retry %v, want one", retry)
		}
	}
	for what, ticket := range map[string]string{"a renewal": two.renewal, "a ticket": unused} {
		for name, n := range map[string]*node.Node{"here": here, "there": there} {
			if _, status := openTicket(t, n, ticket); status != http.StatusUnauthorized {
				t.Errorf("%s from before the kick, %s: %d, want 401", what, name, status)
			}
		}
	}
	three := open(there, issue("u"))

	if _, err := client.Do(t.Context(), "SSE.KICK", "USER", "u", "FOR", 3600, "FINAL").Int(); err != nil {
		t.Fatal(err)
	}
	untilEnd(t, three)
	if _, status := openTicket(t, there, issue("u")); status != http.StatusForbidden {
		t.Errorf("after a final kick: %d, want 403", status)
	}
	if ended, err := client.Do(t.Context(), "SSE.KICK", "CHANNEL", "/rooms/1").Int(); ended != 0 || err != nil {
		t.Fatalf("SSE.KICK CHANNEL: %d, %v, want 0 on this node", ended, err)
	}
	untilEnd(t, other)
	open(there, other.renewal) // who may come back
}

// untilEnd reads a stream until its end, and returns the last retry.
func untilEnd(t *testing.T, s *ticketed) time.Duration {
	t.Helper()
	timer := time.AfterFunc(patience, func() { s.body.Close() })
	defer timer.Stop()
	for {
		if _, err := s.Next(); err == io.EOF {
			return s.Retry
		} else if err != nil {
			t.Fatal(fmt.Errorf("a stream has not ended: %w", err))
		}
	}
}
