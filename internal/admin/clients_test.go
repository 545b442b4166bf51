package admin

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/internal/resp"
)

// Ensure that the client's half of package resp is understood.
func TestOwnClient(t *testing.T) {
	broker := &recorder{subscribers: map[string]int{"/a": 2}}
	nc := dial(t, serve(t, Config{Broker: broker, Password: "secret"}))
	var requests []byte
	requests = resp.AppendCommand(requests, "AUTH", "secret")
	requests = resp.AppendCommand(requests, "SSE.PUBLISH", "/a", "one\r\ntwo", "EVENT", "news")
	requests = resp.AppendCommand(requests, "PUBSUB", "NUMSUB", "/a")
	requests = resp.AppendCommand(requests, "PUBLISH", "/a")
	if _, err := nc.Write(requests); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	for _, want := range []string{
		`"OK" <nil>`,
		`2 <nil>`,
		`[]interface {}{"/a", 2} <nil>`,
		`<nil> ERR wrong number of arguments for 'publish' command`,
	} {
		reply, err := resp.ReadReply(r)
		if got := fmt.Sprintf("%#v %v", reply, err); got != want {
			t.Errorf("reply %s, want %s", got, want)
		}
	}
	if got, want := broker.take(), []string{`/a "one\r\ntwo" "news" 0s`}; !slices.Equal(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
}

func TestGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		for _, password := range []string{"", "secret"} {
			t.Run(fmt.Sprintf("RESP%d password %q", protocol, password), func(t *testing.T) {
				broker := &recorder{subscribers: map[string]int{"/a": 2}}
				s := serve(t, Config{Broker: broker, Password: password})
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				client := redis.NewClient(&redis.Options{
					Addr: s.Addr().String(), Protocol: protocol, Password: password, ClientName: "test", DB: 3,
				})
				defer client.Close()

				if n, err := client.Publish(ctx, "/a", "one\ntwo").Result(); n != 2 || err != nil {
					t.Errorf("Publish: %d, %v", n, err)
				}
				if got, want := broker.take(), []string{`/a "one\ntwo"`}; !slices.Equal(got, want) {
					t.Errorf("published %q, want %q", got, want)
				}

				const n = 1000
				var want []string
				replies, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
					for i := range n {
						want = append(want, fmt.Sprintf(`/a "%d"`, i))
						p.Publish(ctx, "/a", i)
					}
					return nil
				})
				if err != nil || len(replies) != n {
					t.Errorf("pipeline: %d replies, %v", len(replies), err)
				}
				if got := broker.take(); !slices.Equal(got, want) {
					t.Errorf("pipeline published %q", got)
				}

				if n, err := client.Do(ctx, "SSE.PUBLISH", "/a", "x", "EVENT", "news", "RETRY", 10).Int(); n != 2 || err != nil {
					t.Errorf("SSE.PUBLISH: %d, %v", n, err)
				}
				if names, err := client.PubSubChannels(ctx, "*").Result(); err != nil || !slices.Equal(names, []string{"/a"}) {
					t.Errorf("PubSubChannels: %q, %v", names, err)
				}
				if counts, err := client.PubSubNumSub(ctx, "/a", "/b").Result(); err != nil || counts["/a"] != 2 || counts["/b"] != 0 {
					t.Errorf("PubSubNumSub: %v, %v", counts, err)
				}
				if name, err := client.ClientGetName(ctx).Result(); err != nil || name != "test" {
					t.Errorf("ClientGetName: %q, %v", name, err)
				}
				if info, err := client.Info(ctx, "server").Result(); err != nil || !strings.Contains(info, "redis_version:7.2.0\r\n") {
					t.Errorf("Info: %q, %v", info, err)
				}
				if err := client.Get(ctx, "key").Err(); err == nil || !strings.HasPrefix(err.Error(), "ERR unknown command 'get'") {
					t.Errorf("Get: %v", err)
				}
				if err := client.Ping(ctx).Err(); err != nil {
					t.Errorf("Ping after an error: %v", err)
				}
			})
		}
	}
}

func TestGoRedisWrongPassword(t *testing.T) {
	s := serve(t, Config{Broker: &recorder{}, Password: "secret"})
	for _, protocol := range []int{2, 3} {
		for password, want := range map[string]string{"": "NOAUTH", "wrong": "WRONGPASS"} {
			client := redis.NewClient(&redis.Options{Addr: s.Addr().String(), Protocol: protocol, Password: password})
			if err := client.Publish(t.Context(), "/a", "x").Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("RESP%d, password %q: %v, want %s", protocol, password, err, want)
			}
			client.Close()
		}
	}
}

func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian: redis-tools)")
	}
	broker := &recorder{subscribers: map[string]int{"/a": 2, "/b": 1}}
	s := serve(t, Config{Broker: broker, Password: "secret", Control: controlled{}})
	host, port, _ := strings.Cut(s.Addr().String(), ":")
	var pipe strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&pipe, "*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$3\r\n%03d\r\n", i)
	}
	for _, tt := range []struct {
		args  []string
		input string
		want  string // within the output
	}{
		{[]string{"-a", "secret", "PUBLISH", "/a", `{"foo":"bar"}`}, "", "2\n"},
		{[]string{"-a", "secret", "-n", "3", "-3", "PUBLISH", "/a", "x"}, "", "2\n"},
		{[]string{"--user", "default", "--pass", "secret", "PUBLISH", "/none", "x"}, "", "0\n"},
		{[]string{"-a", "secret", "-x", "PUBLISH", "/a"}, "from\nstdin", "2\n"},
		{[]string{"-a", "secret", "--pipe"}, pipe.String(), "errors: 0, replies: 1000\n"},
		{[]string{"-a", "secret"}, "PUBLISH /a 'two words'\nPING\n", "2\nPONG\n"},
		{[]string{"-a", "secret", "-3"}, "PING hi\nCLIENT GETNAME\n", "hi\n\n"},
		{[]string{"-a", "secret", "INFO"}, "", "redis_mode:standalone\r\n"},
		{[]string{"-a", "secret", "SSE.TICKET", "EX", "30", "USER", "two words", "/a"}, "", "ticket of [/a] for \"two words\", 30s, until 0s\n"},
		{[]string{"-a", "secret", "-3", "SSE.KICK", "USER", "u", "FOR", "60", "FINAL"}, "", "-60\n"},
		{[]string{"-a", "secret"}, "SSE.KICK CHANNEL /a USER 'two words'\n", "12\n"},
		{[]string{"-a", "secret", "PUBSUB", "CHANNELS"}, "", "/a\n/b\n"},
		{[]string{"-a", "secret", "PUBSUB", "NUMSUB", "/a"}, "", "/a\n2\n"},
		{[]string{"-a", "secret", "-3", "--json", "COMMAND", "DOCS"}, "", "{}\n"},
		{[]string{"-a", "secret", "GET", "x"}, "", "ERR unknown command 'GET', with args beginning with: 'x'"},
		{[]string{"-a", "wrong", "PING"}, "", "WRONGPASS"},
		{[]string{"PING"}, "", "NOAUTH Authentication required."},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, cli, append([]string{"-h", host, "-p", port}, tt.args...)...)
		cmd.Stdin = strings.NewReader(tt.input)
		output, err := cmd.CombinedOutput()
		cancel()
		if !strings.Contains(string(output), tt.want) {
			t.Errorf("redis-cli %q: %q, %v, want %q", tt.args, output, err, tt.want)
		}
	}
	published := broker.take()
	for _, want := range []string{`/a "{\"foo\":\"bar\"}"`, `/none "x"`, `/a "from\nstdin"`, `/a "two words"`, `/a "999"`} {
		if !slices.Contains(published, want) {
			t.Errorf("%s was not published", want)
		}
	}
	if len(published) != 1005 {
		t.Errorf("%d published, want 1005", len(published))
	}
}
