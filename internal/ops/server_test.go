package ops

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/eventstream"
	"millrace/server"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		addr, token string
		ok, exposed bool
	}{
		{"127.0.0.1:0", "", true, false},
		{"[::1]:8081", "", true, false},
		{"localhost:8081", "", true, false},
		{":8081", "", false, true},
		{"0.0.0.0:8081", "", false, true},
		{"192.0.2.1:8081", "", false, true},
		{":8081", "secret", true, false},
		{"nonsense", "secret", false, false},
	} {
		err := Check(tt.addr, tt.token)
		if (err == nil) != tt.ok || errors.Is(err, ErrNoToken) != tt.exposed {
			t.Errorf("Check(%q, %q): %v, want no error: %v, ErrNoToken: %v", tt.addr, tt.token, err, tt.ok, tt.exposed)
		}
	}
}

func TestPublish(t *testing.T) {
	n := start(t, Config{MaxEventBytes: 128}, channels.Options{MaxEventBytes: 128, History: 1, Epoch: "E"}, server.Config{Loops: 2})
	a, b := n.subscribe("/a"), n.subscribe("/a")
	for _, tt := range []struct {
		target, body string
		status       int
		text         string
	}{
		{"/publish?channel=/a", "hello", 200, `{"id":"E-1","receivers":2}`},
		{"/publish?channel=/nobody", "hello", 200, `"receivers":0}`},
		{"/publish?channel=%2Fa&event=x&retry=500", "1\n2", 200, `"receivers":2}`},
		{"/publish?channel=/a", "12345678", 200, `"receivers":2}`},
		{"/publish?channel=/a", strings.Repeat("x", 129), 413, "128 bytes"},
		{"/publish?channel=/a&event=1234", strings.Repeat("x", 125), 413, "129 bytes, 181 in a stream, want at most 128 of either"},
		{"/publish?channel=/a", strings.Repeat("x", 85), 413, "85 bytes, 129 in a stream, want at most 128 of either"},
		{"/publish", "hello", 400, "the parameter channel is missing"},
		{"/publish?channel=", "hello", 400, "bad channel name"},
		{"/publish?channel=%00", "hello", 400, "control character"},
		{"/publish?channel=/a&channel=/b", "hello", 400, "stands 2 times"},
		{"/publish?channel=/a&chanel=/b", "hello", 400, `unknown parameter \"chanel\", want only channel, event, retry`},
		{"/publish?channel=/a&retry=-1", "hello", 400, `retry=\"-1\", want a number, 0 to 2147483647`},
		{"/publish?channel=/a&retry=1s", "hello", 400, "want a number"},
		{"/publish?channel=/a&event=%0a", "hello", 400, "bad event type"},
		{"/publish?channel=/a", "\xff", 400, "not valid UTF-8"},
		{"/publish?channel=%zz", "hello", 400, "invalid URL escape"},
	} {
		n.want("POST", tt.target, tt.body, tt.status, tt.text)
	}
	n.want("GET", "/publish?channel=/a", "", 405, "")
	for _, stream := range []*eventstream.Reader{a, b} {
		got := []string{await(t, stream, ""), await(t, stream, "x"), await(t, stream, "")}
		if want := []string{"hello", "1\n2", "12345678"}; !slices.Equal(got, want) || stream.Retry != 500*time.Millisecond {
			t.Errorf("a stream got %q and the delay %v, want %q and 500ms", got, stream.Retry, want)
		}
	}
}

// Ensure that a publisher is told to come back when a loop has not kept up.
func TestPublishBusy(t *testing.T) {
	n := open(t, Config{}, channels.Options{PublishTimeout: 1}, server.Config{Loops: 1})
	n.broker.NewInbox(func() {}).Attach(nil, []byte("/a")) // nobody empties it
	data := string(make([]byte, 59<<10))
	for range 30 {
		status, text := n.ask("POST", "/publish?channel=/a", data)
		if status == 200 {
			continue
		}
		n.want("POST", "/publish?channel=/a", data, 503, "too far behind")
		if status != 503 {
			t.Errorf("%d %s, want 503", status, text)
		}
		return
	}
	t.Error("1.8 MB wait for a loop, and no publisher was refused")
}

func TestChannels(t *testing.T) {
	n := start(t, Config{}, channels.Options{History: 1, Epoch: "E"}, server.Config{Loops: 1})
	n.subscribe("/rooms/1")
	for _, channel := range []string{"/rooms/1", "/rooms/2", "/rooms/3", "news", "/rooms/a b?"} {
		if _, err := n.broker.Publish(channel, channels.Event{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		target string
		status int
		text   string
	}{
		{"/channels?prefix=/rooms/&limit=2", 200, `"subscribers":1,"published":1,"head":"E-1","history":1,"bytes":`},
		{"/channels?prefix=/rooms/&limit=2", 200, `"cursor":"/rooms/2"}`},
		{"/channels?prefix=/rooms/&limit=2&cursor=/rooms/2", 200, `{"channels":[{"name":"/rooms/3",`},
		{"/channels?prefix=/nowhere", 200, `{"channels":[]}`},
		{"/channels?limit=0", 200, `{"channels":[]}`},
		{"/channels?limit=1001", 400, `limit=\"1001\", want a number, 0 to 1000`},
		{"/channels?page=2", 400, `unknown parameter \"page\"`},
		{"/channels//rooms/1", 200, `{"name":"/rooms/1",`},
		{"/channels/%2Frooms%2F1", 200, `{"name":"/rooms/1",`},
		{"/channels//rooms/a%20b%3F", 200, `{"name":"/rooms/a b?",`},
		{"/channels/news", 200, `{"name":"news",`},
		{"/channels/rooms/1", 404, `no channel \"rooms/1\"`},
		{"/channels/", 400, "empty"},
		{"/channels/%00", 400, "control character"},
	} {
		n.want("GET", tt.target, "", tt.status, tt.text)
	}
	n.want("POST", "/channels/news", "", 405, "want GET")
}

// Ensure that health tells a loop that does not turn, and which.
func TestHealth(t *testing.T) {
	notReady := errors.New("draining")
	var ready error
	n := open(t, Config{Token: "secret", Ready: func() error { return ready }}, channels.Options{}, server.Config{Loops: 1})
	n.want("GET", "/healthz", "", 503, "event loop 0 does not turn within 1s")
	n.public.Start()
	n.want("GET", "/healthz", "", 200, "ok\n")
	n.want("GET", "/readyz", "", 200, "ok\n")
	ready = notReady
	n.want("GET", "/readyz", "", 503, "draining")
	n.want("GET", "/metrics", "", 200, "\nmillrace_ready 0\n", "Authorization: Bearer secret")
}

func TestSlowConnections(t *testing.T) {
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 2})
	n.want("GET", "/connections?slow=3", "", 200, `"connections":[]`)
	n.want("GET", "/connections?slow=1001", "", 400, "0 to 1000")
	n.subscribe("/a")
	data := make([]byte, 59<<10)
	for n.public.Stats().Behind == 0 {
		if _, err := n.broker.Publish("/a", channels.Event{Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	n.want("GET", "/connections?slow=3", "", 200, `"streams":1,"behind":1,"connections":[{"address":"127.0.0.1:`)
	n.want("GET", "/connections", "", 200, `"channels":["/a"],`)
}
