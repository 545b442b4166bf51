package interop

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// browserClients are those of testdata/node/clients.html, in each browser.
var browserClients = []string{"EventSource", "event-source-polyfill", "reconnecting-eventsource", "fetch-event-source"}

// Ensure that a cut before the first event loses nothing, whatever the client, and
// that a client can tell events of millrace: they have a type of its own, or
// no data.
func TestCutBeforeFirstEvent(t *testing.T) {
	n := start(t, server.Config{Loops: 1, Retry: 100 * time.Millisecond, Keepalive: 100 * time.Millisecond, AllowOrigins: []string{"*"}}, 100)
	r := newRelay(t, n.public)
	clients, reports := startClients(t, r)

	heard := make(map[string][]string) // by client, what was published
	empty := make(map[string]bool)     // clients that report empty messages
	until := func(what string, done func(client string) bool, e func(browser.Report)) {
		t.Helper()
		left := make(map[string]bool)
		for _, client := range clients {
			left[client] = true
		}
		for late := time.After(patience); len(left) > 0; {
			select {
			case <-late:
				t.Fatalf("%s: not within %v of %v", what, patience, left)
			case got := <-reports:
				if (received{got.ID, got.Type, got.Data}).isPublished() {
					heard[got.Client] = append(heard[got.Client], got.Type+got.Data)
				} else if got.Data == "" {
					empty[got.Client] = true
				} else if e != nil {
					e(got)
				}
			}
			for client := range left {
				if done(client) {
					delete(left, client)
				}
			}
		}
	}
	greeted, want := make(map[string]int), `{"resumed":false,"after":"e-0"}`
	greeting := func(e browser.Report) {
		if e.Type == channels.StartType {
			greeted[e.Client]++
			if e.Data != want {
				t.Errorf("%s is greeted with %q, want %q", e.Client, e.Data, want)
			}
		}
	}
	until("the greeting", func(client string) bool { return greeted[client] > 0 }, greeting)

	r.cut()
	for _, client := range clients {
		n.awaitSubscribersOf("/"+client, 0)
	}
	for _, client := range clients {
		if _, err := n.broker.Publish("/"+client, channels.Event{Data: []byte("meanwhile")}); err != nil {
			t.Fatal(err)
		}
	}
	r.mend()
	want = `{"resumed":true,"after":"e-0"}`
	until("what was published before their first event", func(client string) bool { return len(heard[client]) > 0 }, greeting)
	for _, client := range clients {
		if _, err := n.broker.Publish("/"+client, channels.Event{Data: []byte("after")}); err != nil {
			t.Fatal(err)
		}
	}
	until("the next event", func(client string) bool { return len(heard[client]) > 1 }, nil)
	for client := range empty {
		if !strings.HasSuffix(client, "fetch-event-source") && client != "go/r3labs/sse" {
			t.Errorf("%s reports empty messages: the README names those that do", client)
		}
	}
	for _, client := range clients {
		got := strings.ReplaceAll(strings.Join(heard[client], " "), "message", "") // the type, as some say
		if got != "meanwhile after" {
			t.Errorf("%s was told %q, want what was published, in order and once", client, got)
		}
	}
}

// startClients has all clients listen through a relay, each to the channel of its name,
// until the test ends, and returns their names and what they hand on.
func startClients(t *testing.T, r *relay) (names []string, _ <-chan browser.Report) {
	pages, streams := browser.ServePages(t, "testdata/node"), "http://"+r.ln.Addr().String()
	reports := make(chan browser.Report)
	report := func(e browser.Report) {
		select {
		case reports <- e:
		case <-t.Context().Done():
		}
	}
	var running sync.WaitGroup
	t.Cleanup(func() { running.Wait(); http.DefaultClient.CloseIdleConnections() })
	running.Go(func() {
		for {
			select {
			case e := <-pages.Reports:
				report(e)
			case <-t.Context().Done():
				return
			}
		}
	})
	for _, client := range goClients {
		name := "go/" + client.name
		names = append(names, name)
		got := make(chan received, 16)
		running.Go(func() {
			client.listen(t.Context(), streams+"/"+name, got)
			close(got)
		})
		running.Go(func() {
			for e := range got {
				report(browser.Report{Client: name, Type: e.Type, Data: e.Data, ID: e.ID})
			}
		})
	}
	follow(t, script(t, "clients-node.mjs", streams, pages.URL+"/report"))
	names = append(names, "node/eventsource", "node/eventsource-client")

	browser.Firefox(t).Open(pages.URL + "/clients.html?" + streams + "#firefox")
	page := browser.Chromium(t, "ERR_")
	page.Open(pages.URL + "/clients.html?" + streams + "#chromium")
	for _, browser := range []string{"firefox", "chromium"} {
		for _, client := range browserClients {
			names = append(names, browser+"/"+client)
		}
	}
	return names, reports
}
