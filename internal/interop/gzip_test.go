package interop

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/pattern"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// gzipPrograms print the body of a stream that they inflate, as it comes.
var gzipPrograms = []struct {
	name  string
	print func(t *testing.T, url string) io.Reader
}{
	{"curl", func(t *testing.T, url string) io.Reader {
		return printed(t, command(t, "curl", "-sSN", "--compressed", url))
	}},
	{"requests", func(t *testing.T, url string) io.Reader {
		const python = "/usr/bin/python3" // Debian's, which has Debian's packages
		if out, err := command(t, python, "-c", "import requests").CombinedOutput(); err != nil {
			testenv.Lack(t, fmt.Sprintf("requests is missing (Debian: python3-requests): %s", out))
		}
		return printed(t, command(t, python, "testdata/stream.py", url))
	}},
	{"node fetch", func(t *testing.T, url string) io.Reader { return printed(t, script(t, "fetch.mjs", url)) }},
	{"go", goBody},
}

// goBody is Go's client, which inflates what it has asked for by itself.
func goBody(t *testing.T, url string) io.Reader {
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	if !response.Uncompressed {
		t.Errorf("GET %s: not compressed: %q", url, response.Header)
	}
	return response.Body
}

// Ensure that clients which accept gzip have every event live, before the next is published,
// whichever form it has, whenever they came, with pings between: browsers, libraries and
// programs.
func TestGzipClients(t *testing.T) {
	const all = "/all"
	patterns, err := pattern.ParseList([]string{all})
	if err != nil {
		t.Fatal(err)
	}
	aliases := make(map[string]string)
	for _, client := range goClients {
		aliases["/go/"+client.name] = all
	}
	for _, client := range []string{"eventsource", "eventsource-client"} {
		aliases["/node/"+client] = all
	}
	for _, client := range browserClients {
		aliases["/chromium/"+client], aliases["/firefox/"+client] = all, all
	}
	n := start(t, server.Config{Keepalive: 200 * time.Millisecond, AllowOrigins: []string{"*"}, Aliases: aliases, Gzip: patterns}, 100)

	names, reports := startClients(t, newRelay(t, n.public))
	bodies := make(map[string]*bufio.Scanner)
	addPrograms := func(when string) {
		t.Helper()
		for _, p := range gzipPrograms {
			lines := bufio.NewScanner(p.print(t, "http://"+n.public+all))
			lines.Buffer(nil, 1<<20)
			bodies[p.name+when] = lines
		}
		n.awaitSubscribersOf(all, len(names)+len(bodies))
	}
	addPrograms("")
	if stats := n.server.Stats(); int(stats.Gzip) < len(bodies)+10 {
		t.Errorf("%d of %d streams are compressed", stats.Gzip, stats.Streams)
	}
	slowest := time.Duration(0)
	for i, data := range gzipData() {
		if i == 20 {
			addPrograms(", later")
		}
		began := time.Now()
		if _, err := n.broker.Publish(all, channels.Event{Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		awaitReports(t, reports, len(names), data)
		for name, lines := range bodies {
			for lines.Scan() && lines.Text() != "data: "+data {
				if text := lines.Text(); strings.HasPrefix(text, "data: ") && !strings.HasPrefix(text, `data: {"resumed"`) {
					t.Fatalf("%s: event %d: %.100q, want %.100q", name, i, text, data)
				}
			}
			if err := lines.Err(); err != nil || lines.Text() != "data: "+data {
				t.Fatalf("%s: event %d: the body ends (%v)", name, i, err)
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	stats := n.server.Stats()
	if stats.Compressed == 0 || stats.Stored == 0 {
		t.Errorf("%d messages were sent compressed, %d stored, want both", stats.Compressed, stats.Stored)
	}
	t.Logf("%d clients, %d of them with gzip: an event was everywhere after %v at most; %d compressed, %d stored, %d bytes of %d",
		len(names)+len(bodies), stats.Gzip, slowest, stats.Compressed, stats.Stored, stats.GzipBytes, stats.GzipText)
}

// awaitReports waits until n clients have told of an event with that data.
func awaitReports(t *testing.T, reports <-chan browser.Report, n int, data string) {
	t.Helper()
	have := make(map[string]bool)
	for late := time.After(patience); len(have) < n; {
		select {
		case <-late:
			t.Fatalf("%.60q: %d of %d clients have it within %v: %v", data, len(have), n, patience, have)
		case got := <-reports:
			switch {
			case got.Data == data:
				have[got.Client] = true
			case (received{got.ID, got.Type, got.Data}).isPublished():
				t.Fatalf("%s got %.100q, want %.100q", got.Client, got.Data, data)
			}
		}
	}
}

// gzipData are the data of events that are small, large, alike and not.
func gzipData() (data []string) {
	for i := range 40 {
		data = append(data, fmt.Sprintf(`<turbo-stream action="append" target="messages"><template><div id="message_%d" class="message"><p>Grüße, 世界: %x</p></div></template></turbo-stream>`, i, i*i*7919))
	}
	for _, size := range []int{4080, 5000, 8192, 33000, 60000} {
		data = append(data, strings.Repeat("0123456789 long ", size/16))
	}
	return append(data, "last")
}

// Ensure that streams that share a connection of HTTP/2 have each its own text, live, on
// several channels.
func TestGzipHTTP2(t *testing.T) {
	patterns, err := pattern.ParseList([]string{"/*"})
	if err != nil {
		t.Fatal(err)
	}
	n, trusted := startTLS(t, server.Config{Keepalive: 100 * time.Millisecond, Gzip: patterns})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	paths := []string{"/a", "/b"}
	bodies := make(map[string][]*bufio.Scanner)
	add := func(path string, body *bufio.Scanner) {
		body.Buffer(nil, 1<<20)
		bodies[path] = append(bodies[path], body)
	}
	open := func() {
		t.Helper()
		for _, path := range paths {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+n.public+path, nil)
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { response.Body.Close() })
			if response.ProtoMajor != 2 || !response.Uncompressed {
				t.Fatalf("GET %s: %s, compressed: %v, want HTTP/2 and gzip", path, response.Proto, response.Uncompressed)
			}
			add(path, bufio.NewScanner(response.Body))
			n.awaitSubscribersOf(path, len(bodies[path]))
		}
	}
	for range 7 {
		open()
	}
	for _, path := range paths {
		cmd := command(t, "curl", "-sSN", "--http2", "--compressed", "--cacert", trusted, "https://"+n.public+path)
		add(path, lines(t, cmd))
		n.awaitSubscribersOf(path, len(bodies[path]))
	}
	for i, data := range gzipData() {
		if i%10 == 5 {
			open()
		}
		path := paths[i%3%2]
		if _, err := n.broker.Publish(path, channels.Event{Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		for _, in := range bodies[path] {
			wantLine(t, in, "data: "+data)
		}
	}
	if stats := n.server.Stats(); stats.Compressed == 0 || stats.Stored == 0 {
		t.Errorf("%d messages were sent compressed, %d stored, want both", stats.Compressed, stats.Stored)
	}
}
