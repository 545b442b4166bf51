package ops

import (
	"net/http"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/pattern"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// Ensure that the dashboard shows what the content coding gzip saves, once a stream has had it.
func TestDashboardGzip(t *testing.T) {
	const streams = 9
	patterns, err := pattern.ParseList([]string{"/x"})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1, Gzip: patterns})
	page := browser.Chromium(t)
	page.Open("http://" + n.ops.Addr().String() + "/")
	page.Await("nothing of compression yet", "document.getElementById('about').textContent !== '' && document.getElementById('gzip').hidden")
	for range streams {
		r := n.request("GET", "/x", "", "Accept-Encoding: gzip")
		r.URL.Host = n.public.Addr().String()
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
	}
	page.Await("streams", "document.getElementById('gzip-note').textContent === 'Streams with gzip: 9'")
	for range 20 {
		if _, err := n.broker.Publish("/x", channels.Event{Data: []byte(strings.Repeat("much the same ", 50))}); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "all is written", func() bool { s := n.public.Stats(); return s.Compressed+s.Stored == 20*streams })
	page.Await("savings", "/^Streams with gzip: 9 · .* written in place of .*, [0-9]+ % · [0-9]+ % of messages compressed$/.test(document.getElementById('gzip-note').textContent)")
}
