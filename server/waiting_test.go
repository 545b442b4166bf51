package server

import (
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
)

// Ensure that a stream which waits for an engine is told so much that its head passes
// intermediaries, and, where there are ids, begins with one event that has data: a blank
// line before it would be an empty message to some clients.
func TestWaitingIsGreeted(t *testing.T) {
	const gap = "event: millrace.gap\ndata: {\"reason\":\"backplane\",\"oldest\":\"\",\"head\":\"%E-0%\"}\n"
	granted := Config{Retry: 7 * time.Second, Authorizer: authorizer(func(r *auth.Request, _ time.Time) auth.Verdict {
		return auth.Verdict{Means: "ticket", Channels: r.Channels, Renewal: r.Cookie}
	})}
	for _, tt := range []struct {
		name           string
		history        int
		header         string
		waiting, begun string
	}{
		{"without ids", 0, "", ":\nretry: 7000\n\n", "\n" + strings.ReplaceAll(gap, "%E-0%", "") + "\n"},
		{"with ids", 9, "", ":\nretry: 7000\n", strings.ReplaceAll(gap, "%", "") + "id: E-0\n\n"},
		{"with ids, resuming", 9, "Last-Event-ID: E-0\r\n", ":\nretry: 7000\n",
			"event: millrace.start\ndata: {\"resumed\":true,\"after\":\"E-0\"}\nid: E-0\n\n"},
		{"with ids, by a ticket", 9, "Last-Event-ID: E-0\r\nCookie: renewal\r\n", ":\nretry: 7000\n",
			"event: millrace.start\ndata: {\"resumed\":true,\"after\":\"E-0\",\"renewal\":\"renewal\"}\nid: E-0\n\n"},
		{"without ids, by a ticket", 0, "Cookie: renewal\r\n", ":\nretry: 7000\n\n", "\n" + strings.ReplaceAll(gap, "%E-0%", "") + "\n" +
			"event: millrace.start\ndata: {\"resumed\":false,\"renewal\":\"renewal\"}\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := turnByHand(t, granted,
				channels.Options{History: tt.history, Epoch: "E", Backplane: lateEngine{"/late"}})
			fd, peer := h.connect()
			unixWrite(t, peer, "GET /late HTTP/1.1\r\nHost: test\r\n"+tt.header+"\r\n")
			h.on(fd, true, false)
			if got := received(peer); got != "" {
				t.Errorf("at once: %q, want nothing", got)
			}
			h.pass(headPatience)
			if _, got, _ := strings.Cut(received(peer), "\r\n\r\n"); got != tt.waiting {
				t.Errorf("while it waits: %q, want %q", got, tt.waiting)
			}
			h.broker.Feed().Followed(0, nil, "/late")
			h.turnOver()
			if got := received(peer); got != tt.begun {
				t.Errorf("when it begins: %q, want %q", got, tt.begun)
			}
		})
	}
}
