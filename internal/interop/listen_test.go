package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/server"
)

// listeners subscribe at the admin port. Each is subscribed to /first,
// _action_cable_internal and the pattern /p/* when it says "ready", prints its
// messages as JSON, and does what "more", "less" and "end" say.
var listeners = []struct {
	name   string
	listen func(t *testing.T, addr string) io.Reader
}{
	{"go-redis RESP2", goRedisListener(2)},
	{"go-redis RESP3", goRedisListener(3)},
	{"ioredis RESP2", nodeListener("listen-ioredis.mjs", "2")},
	{"ioredis RESP3", nodeListener("listen-ioredis.mjs", "3")},
	{"node-redis RESP2", nodeListener("listen-redis.mjs", "2")},
	{"node-redis RESP3", nodeListener("listen-redis.mjs", "3")},
	{"redis-rb", rubyListener},
}

// Ensure that clients of Redis can subscribe at the admin port, more while they are
// subscribed, and get every payload unchanged, from every kind of publisher.
func TestListen(t *testing.T) {
	for _, l := range listeners {
		t.Run(l.name, func(t *testing.T) {
			f := start(t, server.Config{}, 0)
			lines := bufio.NewReader(l.listen(t, f.admin))
			want := func(line string) {
				t.Helper()
				if got, err := lines.ReadString('\n'); got != line+"\n" {
					t.Fatalf("the client printed %.200q, want %.200q (%v)", got, line, err)
				}
			}
			publish := func(channel, data string, receivers int) {
				t.Helper()
				if r, err := f.broker.Publish(channel, channels.Event{Data: []byte(data)}); r.Receivers != receivers || err != nil {
					t.Fatalf("Publish(%q, %.40q): %d receivers, %v, want %d", channel, data, r.Receivers, err, receivers)
				}
			}
			want("ready")
			for _, m := range messages {
				publish("/first", m.data, 1)
				want(asJSON("message", "/first", m.data))
			}
			publish("/later", "too early", 0)
			publish("/p/1", "by pattern", 1)
			want(asJSON("pmessage", "/p/*", "/p/1", "by pattern"))
			publish("_action_cable_internal", "more", 1)
			want(asJSON("message", "_action_cable_internal", "more"))
			want("subscribed")
			publish("/later", "in time", 1)
			want(asJSON("message", "/later", "in time"))
			publish("/first", "less", 1)
			want(asJSON("message", "/first", "less"))
			want("unsubscribed")
			publish("/later", "too late", 0)
			publish("/first", "end", 1)
			want(asJSON("message", "/first", "end"))
			if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil { // a program must also end well
				t.Errorf("and then it printed %q (%v)", rest, err)
			}
		})
	}
}

// Ensure that redis-cli shows what comes, as it does for a person.
func TestListenRedisCLI(t *testing.T) {
	f := start(t, server.Config{}, 0)
	host, port, _ := net.SplitHostPort(f.admin)
	cmd := command(t, "redis-cli", "-h", host, "-p", port, "SUBSCRIBE", "/b", channel)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	f.awaitSubscribers(1)
	f.publish(channels.Event{Data: []byte(`{"foo":"bar"}`)})
	for _, want := range []string{"subscribe", "/b", "1", "subscribe", channel, "2", "message", channel, `{"foo":"bar"}`} {
		if lines.Scan(); lines.Text() != want {
			t.Fatalf("redis-cli printed %q, want %q", lines.Text(), want)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
}

func asJSON(fields ...string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(fields)
	// JavaScript and Ruby escape less than Go.
	return strings.NewReplacer(`\u2028`, "\u2028").Replace(strings.TrimSuffix(b.String(), "\n"))
}

func nodeListener(name, protocol string) func(*testing.T, string) io.Reader {
	return func(t *testing.T, addr string) io.Reader {
		host, port, _ := net.SplitHostPort(addr)
		return printed(t, script(t, name, host, port, protocol))
	}
}

func rubyListener(t *testing.T, addr string) io.Reader {
	host, port, _ := net.SplitHostPort(addr)
	return printed(t, ruby(t, []string{"redis"}, "listen.rb", host, port))
}

// printed starts cmd and returns what it prints. Where that ends, so must cmd, and
// well, or there is an error.
func printed(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("%.200q: %w: %s", cmd.Args, err, stderr.String())
		}
		w.CloseWithError(err)
	}()
	t.Cleanup(func() {
		r.Close()
		cmd.Process.Kill()
		<-done
	})
	return r
}

func goRedisListener(protocol int) func(*testing.T, string) io.Reader {
	return func(t *testing.T, addr string) io.Reader {
		r, w := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		client := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol})
		sub := client.Subscribe(ctx, "/first", "_action_cable_internal")
		sub.PSubscribe(ctx, "/p/*")
		confirmed := 0
		listen := func() error {
			for {
				got, err := sub.Receive(ctx)
				if err != nil {
					return err
				}
				switch m := got.(type) {
				case *redis.Subscription:
					if confirmed++; confirmed == 3 {
						fmt.Fprintln(w, "ready")
					} else if m.Channel == "/later" {
						fmt.Fprintln(w, m.Kind+"d")
					}
				case *redis.Message:
					if m.Pattern != "" {
						fmt.Fprintln(w, asJSON("pmessage", m.Pattern, m.Channel, m.Payload))
						continue
					}
					fmt.Fprintln(w, asJSON("message", m.Channel, m.Payload))
					switch m.Payload {
					case "more":
						sub.Subscribe(ctx, "/later")
					case "less":
						sub.Unsubscribe(ctx, "/later")
					case "end":
						return io.EOF
					}
				}
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.CloseWithError(listen())
		}()
		t.Cleanup(func() {
			cancel()
			r.Close()
			sub.Close()
			client.Close()
			<-done
		})
		return r
	}
}
