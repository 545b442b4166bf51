package deploy

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// soon has the fallback answers of the shipped proxies, which tell clients to come back
// within a minute, say at once, and HAProxy notice at once that millrace is back.
func soon(p proxy, upstream string) []string {
	switch p.tool {
	case "nginx":
		return []string{"retry: $remote_port", "retry: 200"}
	case "haproxy":
		return []string{"retry: %[rand(55000),add(5000)]", "retry: 200", upstream + " check", upstream + " check inter 100ms"}
	}
	return []string{"retry: {remote_port}", "retry: 200"}
}

// Ensure that a page of another origin comes back by itself through each proxy, in each
// browser, when millrace has been away and when it was drained and started again, and is
// told everything: what it was not there for, or that there may be such.
func TestPageComesBack(t *testing.T) {
	away := time.Second
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		away = 12 * time.Second
	}
	pages, address := browser.ServePages(t, "testdata"), freeAddress(t)
	run := func(epoch string) *millrace {
		return startWith(t, server.Config{
			Listen: address, Retry: 200 * time.Millisecond, Drain: 600 * time.Millisecond, AllowOrigins: []string{pages.URL},
		}, channels.Options{History: 9, Epoch: epoch})
	}
	m := run("first")
	seen := make(map[string]string) // by client, in words
	streams := make(url.Values)
	for _, p := range proxies {
		if p.tls { // whose certificate no browser trusts
			continue
		}
		streams.Set(p.tool, "http://"+newSite(t, p, address, soon(p, address)...).listen+"/news")
		seen["chromium/"+p.tool], seen["firefox/"+p.tool] = "", ""
	}
	until := func(what string, words ...string) {
		t.Helper()
		done := func() bool {
			for _, had := range seen {
				if rest := strings.Fields(had); len(rest) < len(words) || !slices.Equal(rest[len(rest)-len(words):], words) {
					return false
				}
			}
			return true
		}
		for late := time.After(patience); !done(); {
			select {
			case r := <-pages.Reports:
				seen[r.Client] += " " + r.Type + r.Data
				if r.Type == "closed" {
					t.Fatalf("%s: %s has given up for good: %s", what, r.Client, seen[r.Client])
				}
			case <-late:
				t.Fatalf("%s: not within %v: %q, want all to end with %q", what, patience, seen, words)
			}
		}
	}
	publish := func(data string) { // to however many are back
		t.Helper()
		if _, err := m.broker.Publish("/news", channels.Event{Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	page := "/return.html?" + streams.Encode()
	browser.Firefox(t).Open(pages.URL + page + "#firefox")
	browser.Chromium(t, "ERR_").Open(pages.URL + page + "#chromium")
	m.awaitSubscribers("/news", len(seen))
	m.publish("/news", "1", len(seen))
	until("before all", "open", "message1")

	m.server.Close()
	until("millrace is away", "open") // by the proxy's own answer
	<-time.After(away)
	m = run("second")
	publish("2")
	until("millrace is back", "gaprestart", "message2")

	m.server.Drain()
	m = run("third")
	publish("3")
	until("drained and started again", "gaprestart", "message3")

	for client, had := range seen {
		told := strings.Join(slices.DeleteFunc(strings.Fields(had), func(word string) bool { return word == "open" }), " ")
		if want := "message1 gaprestart message2 gaprestart message3"; told != want {
			t.Errorf("%s was told %q, want %q", client, told, want)
		}
	}
}
