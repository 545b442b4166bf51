package interop

import (
	"fmt"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// browsers begin with an empty page. They trust the certificate in a file, and speak
// HTTP/2 unless via is TLS, which is HTTP/1.1.
var browsers = []struct {
	name string
	open func(t *testing.T, via ssetest.Transport, trusted string) browser.Tab
}{
	{"Chromium", func(t *testing.T, via ssetest.Transport, trusted string) browser.Tab {
		return browser.Options{Trusted: trusted, NoHTTP2: via == ssetest.TLS, Expected: []string{"ERR_"}}.Chromium(t)
	}},
	{"Firefox", func(t *testing.T, via ssetest.Transport, _ string) browser.Tab {
		return browser.Options{NoHTTP2: via == ssetest.TLS}.Firefox(t)
	}},
}

// Ensure that each browser takes streams over each transport with TLS: those of one page, and
// those of seven tabs.
func TestBrowsers(t *testing.T) {
	pages := browser.ServePages(t, "testdata/node")
	for _, b := range browsers {
		for _, via := range ssetest.Transports[1:] {
			t.Run(fmt.Sprint(b.name, " ", via), func(t *testing.T) {
				f, trusted := startTLS(t, server.Config{Retry: 100 * time.Millisecond, AllowOrigins: []string{"*"}})
				r := newSplice(t, f.public)
				p := browsing{f, r, b.open(t, via, trusted), pages.URL + "/streams.html", "https://" + r.ln.Addr().String()}
				p.streams(via)
				p.tabs(via)
			})
		}
	}
}

// browsing is a browser with a server, by way of a relay.
type browsing struct {
	*fixture
	relay     *relay
	tab       browser.Tab
	page, url string // of pages, and of channels
}

// listen has a page open n streams of a channel.
func (b *browsing) listen(tab browser.Tab, channel string, n int) {
	b.t.Helper()
	tab.Await("streams to be asked for", fmt.Sprintf("listen(%q, %d) || true", b.url+channel, n))
}

func (b *browsing) publish(channel, data string) {
	b.t.Helper()
	if _, err := b.broker.Publish(channel, channels.Event{Data: []byte(data)}); err != nil {
		b.t.Fatal(err)
	}
}

// streams wants the streams of a page to hear everything, also what was published while the
// connection was cut: 20 over one connection of HTTP/2. They begin again after their last event.
func (b *browsing) streams(via ssetest.Transport) {
	streams, connections := 20, int64(2) // Firefox opens a second one if the first takes a while
	if via == ssetest.TLS {
		streams, connections = 3, 3
	}
	wantAll := func(heard string) {
		b.t.Helper()
		b.tab.Await(fmt.Sprintf("%d streams to hear %s", streams, heard), fmt.Sprintf("open() === %d && heard(%s) === %[1]d", streams, heard))
	}
	b.tab.Open(b.page)
	b.listen(b.tab, channel, 1) // by which it learns that the server has HTTP/2
	b.awaitSubscribers(1)
	b.listen(b.tab, channel, streams-1)
	b.awaitSubscribers(streams)
	b.publish(channel, "one")
	wantAll("'one'")
	if n := b.server.Stats().Connections; n > connections {
		b.t.Errorf("%d streams have %d connections, want at most %d", streams, n, connections)
	}
	b.relay.cut()
	b.awaitSubscribers(0)
	b.publish(channel, "two")
	b.relay.mend()
	b.awaitSubscribers(streams)
	b.publish(channel, "three")
	wantAll("'one', 'two', 'three'")
	b.tab.Open(b.page) // which ends them
	b.awaitSubscribers(0)
}

// tabs wants seven tabs to have a stream each over HTTP/2, while over HTTP/1.1 the seventh gets
// its own only when another is closed: a browser has six connections for a host.
func (b *browsing) tabs(via ssetest.Transport) {
	const tabs, channel = 7, "/tabs"
	open := tabs
	if via == ssetest.TLS {
		open = 6
	}
	all := []browser.Tab{b.tab}
	for len(all) < tabs {
		all = append(all, b.tab.NewTab())
	}
	for _, tab := range all {
		tab.Open(b.page)
		b.listen(tab, channel, 1)
	}
	b.awaitSubscribersOf(channel, open)
	b.publish(channel, "news")
	for _, tab := range all[:open] {
		tab.Await("the news", "heard('news') === 1")
	}
	if open < tabs {
		all[0].Await("a stream to be closed", "streams[0].source.close() || true")
		all[tabs-1].Await("the last stream to be open", "open() === 1")
	}
}
