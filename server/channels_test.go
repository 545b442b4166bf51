package server

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"millrace/channels"
)

// Ensure that a stream is told to come back when it would open a channel above the
// limit, that one on channels that are there is let in, and that channels that only
// publishers use take nobody's place.
func TestMaxChannels(t *testing.T) {
	s, b := start(t, Config{MaxChannels: 3, Loops: 1}, channels.Options{History: 1})
	for i := range 10 {
		publish(t, b, fmt.Sprintf("/quiet/%d", i), "x", 0)
	}
	turnedAway := func(target string) {
		t.Helper()
		c := dial(t, s)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target)
		answer, _ := io.ReadAll(c)
		if got := string(answer); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\n\r\nretry: ") {
			t.Errorf("GET %s above the limit: %q, want to be told when to come back", target, got)
		}
	}
	let := func(target string) *client {
		t.Helper()
		c := dial(t, s)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target)
		c.skipTo(":\n")
		return c
	}
	first := let("/a?channel=/b")
	let("/c")
	turnedAway("/d")
	turnedAway("/a?channel=/d")
	let("/a?channel=/b&channel=/c")
	turnedAway("/quiet/1")
	if got := s.Stats().Closed["channel limit"]; got > 3 {
		t.Errorf("%d closed above the limit of channels, want 3 at most", got)
	}
	first.Close()
	for _, c := range []string{"/d", "/e"} { // /a and /b are still wanted by the third
		turnedAway(c)
	}
}

func TestMaxChannelsPerStream(t *testing.T) {
	s, _ := start(t, Config{MaxChannelsPerStream: 2}, channels.Options{})
	subscribe(t, s, "/a?channel=/b&channel=/a")
	c := dial(t, s)
	fmt.Fprint(c, "GET /a?channel=/b&channel=/c HTTP/1.1\r\nHost: test\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if got := string(answer); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "more than 2 channels in one stream") {
		t.Errorf("three channels in one stream: %q, want 400", got)
	}
}
