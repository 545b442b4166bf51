package nats

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"millrace/channels"
)

// hostile is a NATS server that says what a test wants. It answers pings, and
// replies to requests with the lines of its script, one each; a line "> X" it sends as
// it is before the next reply, "# X" as a message on its newest subscription. When there is
// nothing left it ends the connection.
type hostile struct {
	conn   net.Conn
	script []string
	inbox  string // the number of the subscription to inboxes
	newest string // that of the newest other one, and its subject
	live   string
	begun  func() // if not nil, runs after the first answer to a ping
}

func (h *hostile) serve(version string) {
	fmt.Fprintf(h.conn, "INFO {\"server_id\":\"x\",\"version\":%q,\"headers\":true,\"max_payload\":1048576,\"proto\":1,\"jetstream\":true}\r\n", version)
	h.answer()
}

// answer is serve after the beginning.
func (h *hostile) answer() {
	defer h.conn.Close()
	r := bufio.NewReader(h.conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "PING":
			io.WriteString(h.conn, "PONG\r\n")
			if h.begun != nil {
				h.begun()
			}
		case f[0] == "SUB" && strings.HasPrefix(f[1], "_INBOX"):
			h.inbox = f[2]
		case f[0] == "SUB":
			h.newest, h.live = f[len(f)-1], f[1]
		case f[0] == "PUB", f[0] == "HPUB":
			var size int
			fmt.Sscan(f[len(f)-1], &size)
			if _, err := io.CopyN(io.Discard, r, int64(size)+2); err != nil {
				return
			}
			if !strings.HasPrefix(f[2], "_INBOX") {
				break
			}
			if !h.reply(f[2]) {
				return
			}
		}
	}
}

// reply sends the next reply, and what stands before it.
func (h *hostile) reply(to string) bool {
	for len(h.script) > 0 {
		line := h.script[0]
		h.script = h.script[1:]
		switch kind, rest, _ := strings.Cut(line, " "); kind {
		case ">":
			io.WriteString(h.conn, rest+"\r\n")
		case "#":
			head := "NATS/1.0\r\n" + strings.ReplaceAll(rest, "|", "\r\n") + "\r\n\r\n"
			fmt.Fprintf(h.conn, "HMSG %s %s %d %d\r\n%sxy\r\n", h.live, h.newest, len(head), len(head)+2, head)
		default:
			fmt.Fprintf(h.conn, "MSG %s %s %d\r\n%s\r\n", to, h.inbox, len(line), line)
			return true
		}
	}
	return false
}

// stream is what JetStream says of the stream, and ack what it says of a message in it.
const (
	stream = `{"type":"x","config":{"name":"millrace","subjects":["millrace.>"],"max_msgs_per_subject":9,"allow_rollup_hdrs":true,` +
		`"republish":{"src":"millrace.>","dest":"=live.millrace.>"}},"created":"2026-01-01T00:00:00Z","state":{"first_seq":1,"last_seq":4}}`
	ack = `{"stream":"millrace","seq":%d}`
)

// FuzzHostile has a session hear whatever a server sends. It has to end, and the node
// to live.
func FuzzHostile(f *testing.F) {
	acks := func(n int) string { return fmt.Sprintf(ack, n) }
	begun := []string{stream, acks(4), acks(5), acks(6), stream}
	for _, script := range [][]string{
		begun,
		{stream, `{"error":{"code":503}}`}, {"{"}, {"> -ERR 'Permissions Violation for Publish to \"millrace.x\"'", stream},
		{strings.Replace(stream, "2026-01-01", "", 1)}, {stream, acks(-1)}, {stream, `{"seq":18446744073709551615}`, acks(5), acks(6), stream},
		append(begun, "# Nats-Sequence: 18446744073709551615|Nats-Last-Sequence: x", acks(7)),
		append(begun, "# Nats-Sequence: 9|Millrace-Retry: -1", "# bad", "> MSG =live.millrace.a 99 1\r\nx", acks(7), `{"name":"c","config":{}}`, "> HMSG x 1 0 0"),
		{"> -ERR 'maximum subscriptions exceeded'", "> MSG x 1 -1", stream},
		{"> MSG x 1 9223372036854775807", stream}, {"> msg x 1 r 99999999999999999999", stream}, {"> MSG x 1 99999999999", stream},
		{"> HMSG x 1 9223372036854775807 9223372036854775807", stream}, {"> HMSG x 1 12 5", stream}, {"> INFO ", "> MSG x 1 9223372036854775807", stream},
	} {
		f.Add("2.12.0", strings.Join(script, "\n"))
	}
	f.Add("9.x", "> PING")
	f.Add("2.9.25", stream)
	f.Fuzz(func(t *testing.T, version, script string) {
		if len(script) > 4096 {
			t.Skip("more than enough")
		}
		for _, form := range []string{"", "?history=jetstream"} {
			u, _ := url.Parse("nats://127.0.0.1:4222" + form)
			b, err := Open(u, Options{History: 9, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			dialTo(b, func() net.Conn {
				ours, theirs := net.Pipe()
				h := &hostile{conn: theirs, script: strings.Split(script, "\n")}
				if form == "" { // which asks for nothing
					go func() {
						time.AfterFunc(20*time.Millisecond, func() { theirs.Close() })
						h.serve(version)
					}()
				} else {
					go h.serve(version)
				}
				return ours
			})
			broker := channels.NewBroker(channels.Options{Backplane: b, History: 9, Numbered: form != ""})
			b.Feed = broker.Feed()
			in := broker.NewInbox(func() {})
			in.Attach(nil, []byte("/a"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			begun := time.Now()
			err = b.run(ctx)
			late := ctx.Err() != nil
			cancel()
			if err == nil || late {
				t.Errorf("nats%s: a session has ended after %v: %v, want soon, and an error", form, time.Since(begun), err)
			}
		}
	})
}

// dialTo has a backplane's connections be those of a test.
func dialTo(b *Backplane, dial func() net.Conn) {
	b.options.CustomDialer.(*dialer).dial = func(string, string) (net.Conn, error) { return dial(), nil }
}

// Ensure that a server that is too old for history is refused in words, and no other is.
func TestOldServer(t *testing.T) {
	for version, old := range map[string]bool{
		"2.9.25": true, "1.4.1": true, "2.10.0": false, "2.10.0-beta.1": false, "3.0": false, "": false, "devel": false,
	} {
		if got := isBefore(version, 2, 10); got != old {
			t.Errorf("isBefore(%q, 2, 10) is %v, want %v", version, got, old)
		}
	}
	u, _ := url.Parse("nats://127.0.0.1:4222?history=jetstream")
	b, err := Open(u, Options{History: 9, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	dialTo(b, func() net.Conn {
		ours, theirs := net.Pipe()
		go (&hostile{conn: theirs}).serve("2.9.25")
		return ours
	})
	b.Feed = channels.NewBroker(channels.Options{Backplane: b, History: 9, Numbered: true}).Feed()
	if err := b.run(t.Context()); err == nil || !strings.Contains(err.Error(), "the server is NATS 2.9.25: history=jetstream needs NATS 2.10") {
		t.Errorf("a session with NATS 2.9.25: %v, want it refused for its version", err)
	}
}
