package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/testenv"
	"millrace/internal/turbo"
	"millrace/server"
)

// startDecoding is start with --decode.
func startDecoding(t *testing.T, forms ...string) *fixture {
	t.Helper()
	f, err := turbo.ParseForms(forms)
	if err != nil {
		t.Fatal(err)
	}
	return startRun(t, server.Config{Listen: "127.0.0.1:0"}, channels.Options{Epoch: "e", Decode: f.Decode, Payload: f.Payload})
}

// frameworks are programs that use the admin port as frameworks use a Redis, and check
// each answer.
var frameworks = []struct {
	name    string
	program func(t *testing.T, host, port string) *exec.Cmd
}{
	{"ioredis RESP2", nodeFramework("frameworks-ioredis.mjs", "2")},
	{"ioredis RESP3", nodeFramework("frameworks-ioredis.mjs", "3")},
	{"node-redis RESP2", nodeFramework("frameworks-redis.mjs", "2")},
	{"node-redis RESP3", nodeFramework("frameworks-redis.mjs", "3")},
	{"redis-py", func(t *testing.T, host, port string) *exec.Cmd {
		return command(t, needRedisPy(t), "testdata/frameworks.py", host, port)
	}},
	{"phpredis", func(t *testing.T, host, port string) *exec.Cmd {
		if out, err := command(t, "php", "-r", "new Redis();").CombinedOutput(); err != nil {
			testenv.Lack(t, fmt.Sprintf("phpredis is missing (Debian: php-redis): %s", out))
		}
		cmd := command(t, "php", "testdata/frameworks.php", host, port)
		// What Laravel sends, but for its white space.
		cmd.Stdin = strings.NewReader("for i = 2, #ARGV do redis.call('publish', ARGV[i], ARGV[1]) end")
		return cmd
	}},
}

// needRedisPy returns the Python that has redis-py.
func needRedisPy(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if out, err := command(t, python, "-c", "import redis").CombinedOutput(); err != nil {
		testenv.Lack(t, fmt.Sprintf("redis-py is missing (Debian: python3-redis): %s", out))
	}
	return python
}

// Ensure that frameworks find what they expect of a Redis: transactions, shard channels,
// lists of clients, scripts, and binary payloads.
func TestFrameworks(t *testing.T) {
	for _, framework := range frameworks {
		t.Run(framework.name, func(t *testing.T) {
			f := startDecoding(t, "/binary=base64", "/none=none")
			in := f.broker.NewInbox(func() {})
			in.Attach(nil, []byte("/stream"))
			host, port, _ := net.SplitHostPort(f.admin)
			if got := output(t, framework.program(t, host, port)); got != "ok\n" {
				t.Errorf("it printed %q", got)
			}
			if framework.name != "phpredis" {
				return
			}
			var got []string
			for _, m := range in.Take(nil) {
				got = append(got, string(m.Wire))
			}
			if want := "[data: first\n\n data: {\"event\":\"E\",\"data\":{\"a\":1},\"socket\":null}\n\n]"; fmt.Sprint(got) != want {
				t.Errorf("the stream got %q, want %q", got, want)
			}
		})
	}
}

func nodeFramework(name, protocol string) func(*testing.T, string, string) *exec.Cmd {
	return func(t *testing.T, host, port string) *exec.Cmd { return script(t, name, host, port, protocol) }
}

// Ensure that two servers of Socket.IO reach each other's clients through the admin
// port, and ask each other, by either adapter for Redis.
func TestSocketIO(t *testing.T) {
	for _, adapter := range []string{"classic", "sharded"} {
		t.Run(adapter, func(t *testing.T) {
			f := startDecoding(t, "socket.io*=none")
			host, port, _ := net.SplitHostPort(f.admin)
			var stdins [2]io.WriteCloser
			var lines [2]*bufio.Reader
			want := func(i int, line string) {
				t.Helper()
				if got, err := lines[i].ReadString('\n'); got != line+"\n" {
					t.Fatalf("server %d printed %q, want %q (%v)", i, got, line, err)
				}
			}
			for i := range stdins {
				cmd := script(t, "socketio.mjs", host, port, adapter)
				stdin, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				stdins[i], lines[i] = stdin, bufio.NewReader(printed(t, cmd))
				want(i, "ready")
			}
			for i, stdin := range stdins {
				text := fmt.Sprintf("from-%d", i)
				io.WriteString(stdin, "emit "+text+"\n")
				want(0, "news "+text+" ff000a")
				want(1, "news "+text+" ff000a")
				io.WriteString(stdin, "count\n")
				want(i, "count 2")
			}
			for i, stdin := range stdins {
				stdin.Close()
				if rest, err := io.ReadAll(lines[i]); len(rest) > 0 || err != nil {
					t.Errorf("and then server %d printed %q (%v)", i, rest, err)
				}
			}
		})
	}
}
