package deploy

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/internal/pattern"
	"millrace/server"
)

// subscribeGzip is subscribe for a client that accepts gzip, and gets it.
func (s *site) subscribeGzip(path string) *stream {
	s.t.Helper()
	response, cancel := s.get(path, "Accept", "text/event-stream", "Accept-Encoding", "gzip")
	if got := response.Header.Get("Content-Encoding"); response.StatusCode != 200 || got != "gzip" {
		s.t.Fatalf("%s with the content coding %q, want 200 with gzip", response.Status, got)
	}
	r, err := gzip.NewReader(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	st := &stream{s.t, bufio.NewReader(r), cancel}
	st.want(":\n\n")
	return st
}

// Ensure that compressed events are passed on at once, as they are, whichever form they have,
// and that a client that does not want them gets plain ones.
func TestCompressedEventsArriveAtOnce(t *testing.T) {
	patterns, err := pattern.ParseList([]string{"/a"})
	if err != nil {
		t.Fatal(err)
	}
	eachProxy(t, func(t *testing.T, p proxy) {
		m := startConfigured(t, server.Config{Keepalive: time.Second, Gzip: patterns})
		s := newSite(t, p, m.address)
		streams := []*stream{s.subscribe("/a")}
		for range 8 {
			streams = append(streams, s.subscribeGzip("/a"))
		}
		want := func(data string) {
			t.Helper()
			m.publish("/a", data, len(streams))
			for _, st := range streams {
				for line := ""; line != "data: "+data+"\n"; {
					var err error
					if line, err = st.r.ReadString('\n'); err != nil || strings.HasPrefix(line, "data: ") && line != "data: "+data+"\n" {
						t.Fatalf("the stream carried %.100q, want %.100q (%v)", line, data, err)
					}
				}
			}
		}
		for i := range 20 {
			want(fmt.Sprintf(`{"event": %d, "text": "much the same as the events before"}`, i))
		}
		want(strings.Repeat("long ", 10000))
		streams = append(streams, s.subscribeGzip("/a"))
		for i := range 5 {
			want(fmt.Sprintf(`{"event": %d, "text": "much the same as the events before"}`, i))
		}
		if stats := m.server.Stats(); stats.Compressed == 0 || stats.Stored == 0 {
			t.Errorf("%d messages were sent compressed, %d stored, want both", stats.Compressed, stats.Stored)
		}
	})
}
