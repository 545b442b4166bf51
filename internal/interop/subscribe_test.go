package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"millrace/channels"
	"millrace/server"
)

// subscribers are EventSource implementations. Each opens url until the test is
// over, and sends what it receives of the given event types.
var subscribers = []struct {
	name      string
	subscribe func(t *testing.T, url string, types ...string) <-chan sse.Event
}{
	{"go-sse", goSSE},
	{"eventsource", eventsource},
}

// Ensure that every client gets data, type and id as published, comes back with
// the last id after the time that the server told it, and is served again.
func TestSubscribe(t *testing.T) {
	for _, subscriber := range subscribers {
		t.Run(subscriber.name, func(t *testing.T) {
			f := start(t, server.Config{Keepalive: 100 * time.Millisecond, Retry: 150 * time.Millisecond}, 100)
			r := newRelay(t, f.public)
			events := subscriber.subscribe(t, "http://"+r.ln.Addr().String()+channel, "message", "größer")
			if id := receive(t, r.heads).Get("Last-Event-ID"); id != "" {
				t.Errorf("first request: Last-Event-ID %q, want none", id)
			}
			f.awaitSubscribers(1)
			for i, m := range messages {
				f.publish(channels.Event{Data: []byte(m.data), Type: m.event})
				expect(t, events, i+1, m.event, joined(m.data))
			}

			r.cut()
			f.awaitSubscribers(0)
			r.mend()
			if id, want := receive(t, r.heads).Get("Last-Event-ID"), fmt.Sprintf("e-%d", len(messages)); id != want {
				t.Errorf("after the cut: Last-Event-ID %q, want %q", id, want)
			}
			f.awaitSubscribers(1)
			f.publish(channels.Event{Data: []byte("welcome back")})
			expect(t, events, len(messages)+1, "", "welcome back")
		})
	}
}

// Ensure that every client comes back by itself to a server that was drained and
// started again, when it was told to, and learns what it may have missed.
func TestRestart(t *testing.T) {
	for _, subscriber := range subscribers {
		t.Run(subscriber.name, func(t *testing.T) {
			const drain = 600 * time.Millisecond // so: back within 200 ms
			first := startRun(t, server.Config{Listen: "127.0.0.1:0", Drain: drain}, channels.Options{History: 100, Epoch: "first"})
			events := subscriber.subscribe(t, "http://"+first.public+channel, "message", channels.GapType)
			first.awaitSubscribers(1)
			first.publish(channels.Event{Data: []byte("before")})
			want := func(ev sse.Event) {
				t.Helper()
				if got := receive(t, events); got != ev {
					t.Fatalf("received %+v, want %+v", got, ev)
				}
			}
			want(sse.Event{LastEventID: "first-1", Data: "before"})

			first.server.Drain()
			second := startRun(t, server.Config{Listen: first.public}, channels.Options{History: 100, Epoch: "second"})
			if _, err := second.broker.Publish(channel, channels.Event{Data: []byte("meanwhile")}); err != nil {
				t.Fatal(err)
			}
			second.awaitSubscribers(1)
			second.publish(channels.Event{Data: []byte("after")})
			want(sse.Event{LastEventID: "second-0", Type: channels.GapType, Data: `{"reason":"restart","oldest":"second-1","head":"second-1"}`})
			want(sse.Event{LastEventID: "second-1", Data: "meanwhile"})
			want(sse.Event{LastEventID: "second-2", Data: "after"})
		})
	}
}

// expect receives one event, which must be the n-th of the broker.
func expect(t *testing.T, events <-chan sse.Event, n int, event, data string) {
	t.Helper()
	want := sse.Event{LastEventID: fmt.Sprintf("e-%d", n), Type: event, Data: data}
	if got := receive(t, events); got != want {
		t.Fatalf("received %.200q, want %.200q", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v, ok := <-c:
		if !ok {
			t.Fatal("the client ended")
		}
		return v
	case <-time.After(patience):
		t.Fatalf("nothing within %v", patience)
	}
	return v
}

func goSSE(t *testing.T, url string, types ...string) <-chan sse.Event {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	client := sse.Client{HTTPClient: &http.Client{Transport: transport}}
	conn := client.NewConnection(request)
	events, done := make(chan sse.Event, 64), make(chan error, 1)
	for _, typ := range types {
		if typ == "message" {
			typ = "" // as go-sse calls it
		}
		conn.SubscribeEvent(typ, func(ev sse.Event) {
			// It takes the greeting, which has a retry field and no data, for
			// an event; the standard does not (WHATWG HTML, 9.2.6).
			if ev.Data != "" {
				events <- ev
			}
		})
	}
	go func() {
		done <- conn.Connect()
		close(events)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("go-sse ended with %v, want the test's end", err)
		}
		transport.CloseIdleConnections()
	})
	return events
}

func eventsource(t *testing.T, url string, types ...string) <-chan sse.Event {
	cmd := script(t, "subscribe.mjs", append([]string{url}, types...)...)
	lines := bufio.NewReader(follow(t, cmd))
	events := make(chan sse.Event, 64)
	go func() {
		defer close(events)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return // killed by the test's end, or receive finds the end
			}
			var ev struct{ ID, Type, Data string }
			if err := json.Unmarshal([]byte(line), &ev); err != nil {
				t.Errorf("subscribe.mjs printed %q: %v", line, err)
				return
			}
			if ev.Type == "message" {
				ev.Type = ""
			}
			events <- sse.Event{LastEventID: ev.ID, Type: ev.Type, Data: ev.Data}
		}
	}()
	return events
}

// Ensure that curl prints, byte for byte and at once, what a stream consists
// of, and that a Last-Event-ID is accepted from it.
func TestCurl(t *testing.T) {
	for _, tt := range []struct {
		name    string
		history int
		flags   []string
		opening string
		id      string // format of the last line of the n-th event
	}{
		{"without history", 0, nil, ":\n\n", ""},
		{"with history", 100, nil, ":\nevent: millrace.start\ndata: {\"resumed\":false,\"after\":\"e-0\"}\nid: e-0\n\n", "id: e-%d\n"},
		{"Last-Event-ID", 100, []string{"-H", "Last-Event-ID: e-0"}, ":\nevent: millrace.start\ndata: {\"resumed\":true,\"after\":\"e-0\"}\nid: e-0\n\n", "id: e-%d\n"},
		{"Last-Event-ID of another run", 100, []string{"-H", "Last-Event-ID: other-17"},
			":\nevent: millrace.gap\ndata: {\"reason\":\"restart\",\"oldest\":\"\",\"head\":\"e-0\"}\nid: e-0\n\n", "id: e-%d\n"},
		{"Last-Event-ID without history", 0, []string{"-H", "Last-Event-ID: other-17"},
			":\n\nevent: millrace.gap\ndata: {\"reason\":\"unknown\",\"oldest\":\"\",\"head\":\"\"}\n\n", ""},
		{"HTTP/1.0", 0, []string{"--http1.0"}, ":\n\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, server.Config{}, tt.history)
			cmd := command(t, "curl", append(tt.flags, "-sSN", "http://"+f.public+channel)...)
			out := follow(t, cmd)
			f.awaitSubscribers(1)
			got, want := make([]byte, 64<<10), tt.opening
			for i, m := range messages {
				f.publish(channels.Event{Data: []byte(m.data), Type: m.event})
				want += strings.TrimSuffix(m.wire, "\n")
				if tt.id != "" {
					want += fmt.Sprintf(tt.id, i+1)
				}
				want += "\n"
				n, err := io.ReadFull(out, got[:len(want)])
				if string(got[:n]) != want {
					t.Fatalf("curl printed %.200q, want %.200q (%v)", got[:n], want, err)
				}
				want = ""
			}
		})
	}
}

// Ensure that curl sees pings while nothing happens, and no error when the
// server ends the stream.
func TestCurlKeepalive(t *testing.T) {
	const lifetime = 500 * time.Millisecond
	f := start(t, server.Config{Keepalive: lifetime / 5, MaxLifetime: lifetime}, 0)
	got := output(t, command(t, "curl", "-sSN", "http://"+f.public+channel))
	rest := strings.ReplaceAll(got, ":keepalive\n\n", "")
	if rest != ":\n\n" || len(got)-len(rest) < 2*len(":keepalive\n\n") {
		t.Errorf("curl printed %q, want a comment and some keepalives", got)
	}
}

// follow starts cmd and returns its standard output, which can be read until
// patience runs out. The program is killed at the end of the test.
func follow(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.SetReadDeadline(time.Now().Add(patience))
	var complaints strings.Builder
	cmd.Stdout, cmd.Stderr = w, &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		r.Close()
		if complaints.Len() > 0 {
			t.Errorf("%q: %s", cmd.Args, complaints.String())
		}
	})
	return r
}
