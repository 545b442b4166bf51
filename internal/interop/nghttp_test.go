package interop

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/server"
)

// Ensure that nghttp reads streams over HTTP/2 up to their ends: several on one connection, and one
// that needs its window opened again.
func TestNghttp(t *testing.T) {
	f, _ := startTLS(t, server.Config{MaxLifetime: 2 * time.Second}) // it prints what it has at its own end
	for _, c := range []struct {
		streams int
		text    string
	}{
		{6, "one"},
		{1, strings.Repeat("long ", 8000)},
	} {
		t.Run(fmt.Sprint(c.streams), func(t *testing.T) {
			cmd := command(t, "nghttp", "-m", fmt.Sprint(c.streams), "https://"+f.public+channel)
			in := lines(t, cmd)
			in.Buffer(nil, 1<<20)
			f.awaitSubscribers(c.streams)
			const messages = 3 // 120,000 bytes of the longer one
			for range messages {
				if n, err := f.broker.Publish(channel, channels.Event{Data: []byte(c.text)}); n.Receivers != c.streams || err != nil {
					t.Fatalf("%v receivers, %v, want %d", n, err, c.streams)
				}
			}
			for range messages * c.streams {
				wantLine(t, in, "data: "+c.text)
			}
			f.awaitSubscribers(0)
		})
	}
}

// Ensure that h2load gets an answer to each of thousands of requests, hundreds of them at once on
// a connection.
func TestH2load(t *testing.T) {
	f, _ := startTLS(t, server.Config{})
	out, err := command(t, "h2load", "-n", "5000", "-c", "4", "-m", "200", "https://"+f.public+"/healthz").CombinedOutput()
	if want := regexp.MustCompile(`(?m)^status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx$`); err != nil || !want.Match(out) || !strings.Contains(string(out), "Application protocol: h2") {
		t.Errorf("h2load: %v, %s", err, out)
	}
}
