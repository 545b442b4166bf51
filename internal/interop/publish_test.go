package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"millrace/server"
)

// publishers send commands to the admin port and return the replies.
var publishers = []struct {
	name string
	send func(t *testing.T, addr string, commands [][]string) []string
}{
	{"go-redis RESP2", goRedis(2)},
	{"go-redis RESP3", goRedis(3)},
	{"redis-cli RESP2", redisCLI()},
	{"redis-cli RESP3", redisCLI("-3")},
	{"nc", netcat},
	{"ioredis RESP2", nodeJS("publish-ioredis.mjs", "2")},
	{"ioredis RESP3", nodeJS("publish-ioredis.mjs", "3")},
	{"node-redis RESP2", nodeJS("publish-redis.mjs", "2")},
	{"node-redis RESP3", nodeJS("publish-redis.mjs", "3")},
}

func TestPublish(t *testing.T) {
	for _, publisher := range publishers {
		t.Run(publisher.name, func(t *testing.T) {
			f := start(t, server.Config{}, 0)
			first, second := f.wire(), f.wire()
			f.awaitSubscribers(2)
			var commands [][]string
			for _, m := range messages {
				if m.event == "" {
					commands = append(commands, []string{"PUBLISH", channel, m.data})
				} else {
					commands = append(commands, []string{"SSE.PUBLISH", channel, m.data, "EVENT", m.event})
				}
			}
			commands = append(commands, []string{"PUBLISH", "/nobody", "x"}, []string{"SSE.PUBLISH", channel, "x", "RETRY", "1500"})

			replies := publisher.send(t, f.admin, commands)

			if len(replies) != len(commands) {
				t.Fatalf("%d replies to %d commands: %q", len(replies), len(commands), replies)
			}
			for i, command := range commands {
				want := "2"
				if command[1] == "/nobody" {
					want = "0"
				}
				if replies[i] != want {
					t.Errorf("%.80q: reply %q, want %q", command, replies[i], want)
				}
			}
			for _, m := range messages {
				first(m.wire)
				second(m.wire)
			}
			first("retry: 1500\ndata: x\n\n")
		})
	}
}

// Ensure that the inline form, which is for people at a terminal, needs no
// quotes.
func TestPublishInline(t *testing.T) {
	f := start(t, server.Config{}, 0)
	want := f.wire()
	f.awaitSubscribers(1)
	host, port, _ := net.SplitHostPort(f.admin)
	cmd := command(t, "nc", "-q1", host, port)
	cmd.Stdin = strings.NewReader("PUBLISH /sse/test {\"foo\": \"bar\"}\r\npublish /sse/test it's  \"世界\" \n")
	if got := output(t, cmd); got != ":1\r\n:1\r\n" {
		t.Errorf("nc: replies %q", got)
	}
	want("data: {\"foo\": \"bar\"}\n\ndata: it's  \"世界\" \n\n")
}

func goRedis(protocol int) func(*testing.T, string, [][]string) []string {
	return func(t *testing.T, addr string, commands [][]string) (replies []string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		client := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol})
		defer client.Close()
		for _, c := range commands {
			var n int64
			var err error
			if c[0] == "PUBLISH" {
				n, err = client.Publish(ctx, c[1], c[2]).Result()
			} else {
				n, err = client.Do(ctx, anys(c)...).Int64()
			}
			if err != nil {
				t.Fatalf("%.80q: %v", c, err)
			}
			replies = append(replies, fmt.Sprint(n))
		}
		return replies
	}
}

func anys(list []string) (result []any) {
	for _, s := range list {
		result = append(result, s)
	}
	return result
}

func redisCLI(flags ...string) func(*testing.T, string, [][]string) []string {
	return func(t *testing.T, addr string, commands [][]string) (replies []string) {
		host, port, _ := net.SplitHostPort(addr)
		for _, c := range commands {
			args := append(append([]string{"-h", host, "-p", port}, flags...), c...)
			replies = append(replies, strings.TrimSuffix(output(t, command(t, "redis-cli", args...)), "\n"))
		}
		return replies
	}
}

// netcat pipelines all commands at once.
func netcat(t *testing.T, addr string, commands [][]string) (replies []string) {
	var request strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&request, "*%d\r\n", len(c))
		for _, arg := range c {
			fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	host, port, _ := net.SplitHostPort(addr)
	cmd := command(t, "nc", "-q1", host, port)
	cmd.Stdin = strings.NewReader(request.String())
	for line := range strings.Lines(output(t, cmd)) {
		if !strings.HasPrefix(line, ":") || !strings.HasSuffix(line, "\r\n") {
			t.Fatalf("reply %q, want :n", line)
		}
		replies = append(replies, line[1:len(line)-2])
	}
	return replies
}

// nodeJS runs a script that reads the commands as JSON and prints the replies
// likewise.
func nodeJS(name string, protocol string) func(*testing.T, string, [][]string) []string {
	return func(t *testing.T, addr string, commands [][]string) (replies []string) {
		host, port, _ := net.SplitHostPort(addr)
		cmd := script(t, name, host, port, protocol)
		request, err := json.Marshal(commands)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = bytes.NewReader(request)
		text := output(t, cmd)
		if err := json.Unmarshal([]byte(text), &replies); err != nil {
			t.Fatalf("%s printed %q: %v", name, text, err)
		}
		return replies
	}
}

// output runs cmd and returns its standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		exit := new(exec.ExitError)
		errors.As(err, &exit)
		t.Fatalf("%.200q: %v: %s", cmd.Args, err, exit.Stderr)
	}
	return string(out)
}
