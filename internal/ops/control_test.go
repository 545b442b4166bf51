package ops

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/auth/application"
	"millrace/internal/auth/ticket"
	"millrace/internal/auth/token"
	"millrace/internal/control"
	"millrace/server"
)

// ender ends streams of nobody, as many as the names it is given have letters.
type ender struct{}

func (ender) EndStreams(_ context.Context, channel, user string) (int, error) {
	return len(channel + user), nil
}

func TestTicketsAndKicks(t *testing.T) {
	kicks, tickets := new(auth.Kicks), ticket.New(ticket.RandomKeys())
	orders := control.Start(control.Config{Broker: channels.NewBroker(channels.Options{}), Streams: ender{}, Kicks: kicks, Tickets: tickets})
	defer orders.Close()
	app, err := application.New(application.Config{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	keys, err := token.OpenKeyring([]string{strings.Repeat("k", 32)}, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tokens := token.New(token.Config{Keys: keys})
	defer tokens.Close()
	n := start(t, Config{Token: "secret", Control: orders, Tickets: tickets, Tokens: tokens, Application: app}, channels.Options{}, server.Config{Loops: 1})
	n.ops.guard.guesses.Delay = 1
	for _, tt := range []struct {
		path, body string
		status     int
		text       string
	}{
		{"/tickets", `{"channels": ["/a", "chat:1"], "user": "u", "ex": 30, "until": 3600}`, 200, `{"ticket":"`},
		{"/tickets", `{"channels": ["/a"]}`, 200, `{"ticket":"`},
		{"/tickets", `{}`, 400, "for 0 channels"},
		{"/tickets", ``, 400, "the body: EOF: want {"},
		{"/tickets", `{"channels": ["/a"]} {}`, 400, "more than one object"},
		{"/tickets", `{"channel": "/a"}`, 400, "unknown field"},
		{"/tickets", `{"channels": ["/a"], "ex": 0}`, 400, "ex of 0 seconds, want 1 to 3600"},
		{"/tickets", `{"channels": ["/a"], "until": 2592001}`, 400, "until of 2592001 seconds"},
		{"/tickets", `{"channels": ["/a"], "user": ""}`, 400, "bad name of a user"},
		{"/tickets", `{"channels": ["` + strings.Repeat("x", maxOrder) + `"]}`, 400, "too large"},
		{"/kick", `{"user": "u12"}`, 200, `{"ended":3}`},
		{"/kick", `{"user": "barred", "for": 60, "final": true}`, 200, `{"ended":6}`},
		{"/kick", `{"user": "lifted"}`, 200, `{"ended":6}`},
		{"/kick", `{"user": "lifted", "for": 0}`, 200, `{"ended":0}`},
		{"/kick", `{"channel": "/a"}`, 200, `{"ended":2}`},
		{"/kick", `{"channel": "/a", "user": "u"}`, 200, `{"ended":3}`},
		{"/kick", `{}`, 400, "neither a user nor a channel"},
		{"/kick", `{"channel": "/a", "final": true}`, 400, "may return"},
		{"/kick", `{"channel": ""}`, 400, "bad channel name"},
		{"/kick", `{"user": ""}`, 400, "bad name of a user"},
		{"/kick", `{"user": "u", "for": -1}`, 400, "for of -1 seconds, want 0 to"},
		{"/kick", `{"user": "u", "all": true}`, 400, "unknown field"},
	} {
		n.want("POST", tt.path, tt.body, tt.status, tt.text, "Authorization: Bearer secret")
		n.want("POST", tt.path, tt.body, 401, "Authorization: Bearer TOKEN", "Authorization: Bearer wrong")
	}
	n.want("GET", "/kick", "", 405, "want POST", "Authorization: Bearer secret")
	for _, line := range []string{"tickets_issued_total 2", "tickets_known 0", "kicks_total 5", "kicked_streams_total 20", "kicked_users 2",
		"token_keys 1", `token_key_fetches_total{result="failed"} 0`, "token_strange_grants_total 0", "tokens_waiting 0",
		"kicks_folded_total 0", "control_dropped_total 0", `application_requests_total{result="unreachable"} 0`, "application_asking 0"} {
		n.want("GET", "/metrics", "", 200, "\nmillrace_"+line+"\n", "Authorization: Bearer secret")
	}
	now := time.Now()
	for user, want := range map[string]auth.Standing{"u12": auth.Void, "barred": auth.Barred, "lifted": auth.Counts, "u": auth.Counts} {
		if got := kicks.Judge(user, now.Add(-time.Minute), now); got != want {
			t.Errorf("what %s has from before: %d, want %d", user, got, want)
		}
	}
}

// Ensure that a node where anybody may listen says so instead of issuing tickets.
func TestNoTickets(t *testing.T) {
	open := control.Start(control.Config{Broker: channels.NewBroker(channels.Options{}), Streams: ender{}, Kicks: new(auth.Kicks)})
	defer open.Close()
	start(t, Config{Control: open}, channels.Options{}, server.Config{Loops: 1}).want("POST", "/tickets", `{"channels": ["/a"]}`, 409, "anybody may listen")
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1})
	n.want("POST", "/tickets", `{"channels": ["/a"]}`, 404, "not available")
	n.want("POST", "/kick", `{"user": "u"}`, 404, "not available")
}
