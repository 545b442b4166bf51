package postgres

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
	"millrace/server"
)

// Ensure that broadcasts of Rails reach curl, and that events published here
// reach Rails.
func testRails(t *testing.T, p *testenv.Postgres) {
	for _, prefix := range []string{"", "app_production"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			n := startLocal(t, p.URL(), Options{Prefix: prefix})
			srv, err := server.New(server.Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, n.Broker)
			if err != nil {
				t.Fatal(err)
			}
			srv.Start()
			t.Cleanup(srv.Close)
			channels := []string{"/sse/test", "chat_Best Room", "/" + strings.Repeat("long", 20), "/räume/" + strings.Repeat("ü", 60), `/"it's" $1 \`}
			r := startRails(t, p, prefix, channels...)
			for _, channel := range channels {
				stream := curl(t, "http://"+srv.Addr().String()+"/?channel="+url.QueryEscape(channel))
				for _, tt := range []struct {
					how     string
					message any
					data    string
				}{
					{"pubsub", `{"foo":"bar"}`, `{"foo":"bar"}`},
					{"server", map[string]any{"foo": "bar"}, `{"foo":"bar"}`},
					{"server", "<p>Grüße & 世界</p>", `"\u003cp\u003eGrüße \u0026 世界\u003c/p\u003e"`},
					{"pubsub", `it's "quoted" \ $1`, `it's "quoted" \ $1`},
					{"pubsub", strings.Repeat("x", 7999), strings.Repeat("x", 7999)},
					{"pubsub", strings.Repeat("ü", 3999), strings.Repeat("ü", 3999)},
				} {
					if got := r.broadcast(tt.how, channel, tt.message); got != "" {
						t.Fatalf("%s.broadcast(%q, %.80v): %s", tt.how, channel, tt.message, got)
					}
					expectLine(t, stream, "data: "+tt.data)
					if got := r.next(); got.Channel != channel || got.Message != tt.data {
						t.Fatalf("Rails received %.200v, want %.200q", got, tt.data)
					}
				}
				n.Publish(channel, `{"from":"millrace"}`)
				expectLine(t, stream, `data: {"from":"millrace"}`)
				if got := r.next(); got.Channel != channel || got.Message != `{"from":"millrace"}` {
					t.Fatalf("Rails received %v", got)
				}
			}
			if got := r.broadcast("pubsub", channels[0], strings.Repeat("x", 8000)); !strings.Contains(got, "too long") {
				t.Errorf("Rails says %q of a payload of 8,000 bytes", got)
			}
		})
	}
}

// said is a line of testdata/rails.rb.
type said struct {
	Subscribed       int
	Done             bool
	Error            string
	Channel, Message string
}

// railsProcess is testdata/rails.rb at work.
type railsProcess struct {
	t        *testing.T
	commands io.Writer
	answers  chan said
	received chan said
}

// startRails returns once Rails listens to the channels.
func startRails(t *testing.T, p *testenv.Postgres, prefix string, channels ...string) *railsProcess {
	t.Helper()
	ruby := testenv.Need(t, "ruby")
	if out, err := exec.Command(ruby, "-ractive_record", "-raction_cable", "-rpg", "-e", "").CombinedOutput(); err != nil {
		testenv.Lack(t, "install ruby-actioncable, ruby-activerecord and ruby-pg: "+string(out))
	}
	config := map[string]string{"adapter": "postgresql"}
	if prefix != "" {
		config["channel_prefix"] = prefix
	}
	cable, _ := json.Marshal(config)
	ctx, cancel := context.WithTimeout(context.Background(), 4*long)
	cmd := exec.CommandContext(ctx, ruby, append([]string{"testdata/rails.rb", string(cable), p.URL()}, channels...)...)
	commands, _ := cmd.StdinPipe()
	lines, _ := cmd.StdoutPipe()
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &railsProcess{t, commands, make(chan said, 100), make(chan said, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for scanner := bufio.NewScanner(lines); scanner.Scan(); {
			var s said
			if err := json.Unmarshal(scanner.Bytes(), &s); err != nil {
				t.Errorf("rails.rb says %q", scanner.Text())
			}
			if s.Channel != "" {
				r.received <- s
			} else {
				r.answers <- s
			}
		}
	}()
	t.Cleanup(func() {
		commands.Close()
		cancel()
		<-done
		cmd.Wait()
		if t.Failed() {
			t.Log(complaints.String())
		}
	})
	if got := r.await(r.answers); got.Subscribed != len(channels) {
		t.Fatalf("Rails says %v, want that it subscribed to %d channels", got, len(channels))
	}
	return r
}

// broadcast returns what Rails raised, "" for nothing.
func (r *railsProcess) broadcast(how, channel string, message any) string {
	r.t.Helper()
	json.NewEncoder(r.commands).Encode(map[string]any{"how": how, "channel": channel, "message": message})
	return r.await(r.answers).Error
}

// next returns what Rails has received next.
func (r *railsProcess) next() said { r.t.Helper(); return r.await(r.received) }

func (r *railsProcess) await(from chan said) said {
	r.t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(long):
		r.t.Fatal("Rails says nothing")
		panic("unreachable")
	}
}

// curl opens a stream, and returns its lines after the first comment.
func curl(t *testing.T, address string) *bufio.Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	cmd := exec.CommandContext(ctx, testenv.Need(t, "curl"), "-sSN", address)
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	r := bufio.NewReader(out)
	expectLine(t, r, ":")
	return r
}

// expectLine compares the next line and the blank one after it.
func expectLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	got, err := r.ReadString('\n')
	blank, _ := r.ReadString('\n')
	if got != want+"\n" || blank != "\n" {
		t.Fatalf("the stream carried %.200q and %.200q, want %.200q and a blank line (%v)", got, blank, want, err)
	}
}
