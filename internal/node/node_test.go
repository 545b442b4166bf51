package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/resp"
	"millrace/internal/testenv"
	"millrace/server"
)

// patience bounds every wait.
const patience = testenv.Patience

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNode runs a node on free ports until the test ends.
func startNode(t *testing.T, o Options) *Node {
	t.Helper()
	o.Public.Listen, o.Public.Loops = "127.0.0.1:0", 1
	n, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// ask returns the reply of the admin port to a command.
func ask(t *testing.T, n *Node, args ...string) any {
	t.Helper()
	nc, err := net.Dial("tcp", n.AdminAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	nc.Write(resp.AppendCommand(nil, args...))
	reply, err := resp.ReadReply(bufio.NewReader(nc))
	if err != nil {
		return err
	}
	return reply
}

// Ensure that INFO has the figures of a node, and that the streams that are behind
// are listed, as one that does not read is.
func TestInfo(t *testing.T) {
	n := startNode(t, Options{
		Broker: channels.Options{MaxEventBytes: 64 << 10, MaxKept: 1 << 20},
		Admin:  AdminPort{Listen: "127.0.0.1:0"}, Ops: OpsPort{Listen: "127.0.0.1:0"},
	})
	nc, err := net.Dial("tcp", n.PublicAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "GET /a%20b?channel=c,d HTTP/1.1\r\nHost: h\r\n\r\n")
	published := 0
	for deadline := time.Now().Add(patience); n.Streams().Stats().Behind == 0; published++ {
		if _, err := n.Broker().Publish("/a b", channels.Event{Data: []byte(strings.Repeat("x", 60<<10))}); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the stream takes everything and does not read")
		}
	}
	list := ask(t, n, "SSE.CONNECTIONS", "SLOW", "5")
	want := regexp.MustCompile(`^addr=127\.0\.0\.1:\d+ channels=/a%20b,c%2Cd loop=0 behind=\d+ lapped=[01] seconds=\d+\.\d{3} protocol=plain\n$`)
	if text, ok := list.(string); !ok || !want.MatchString(text) {
		t.Errorf("slow readers: %q, want %s", list, want)
	}
	info := func(section ...string) string {
		t.Helper()
		reply := ask(t, n, append([]string{"INFO"}, section...)...)
		text, ok := reply.(string)
		if !ok {
			t.Fatalf("INFO %q: %v", section, reply)
		}
		return text
	}
	all := info()
	for _, want := range []string{"# Millrace\r\n", "\r\nstreams:1\r\n", "\r\nstreams_behind:1\r\n", "\r\n\r\n# Channels\r\nchannels:2\r\n",
		fmt.Sprintf("\r\nevents_published:%d\r\n", published), "\r\n\r\n# Latency\r\nfanouts:", "\r\nloop_turn_p99_usec:"} {
		if !strings.Contains(all, want) {
			t.Errorf("INFO %q has no %q", all, want)
		}
	}
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, watched, _ := strings.Cut(string(docs), "## What to watch")
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`[^|]*`"+`) \|`).FindAllStringSubmatch(watched, -1) {
		for _, name := range regexp.MustCompile("`([a-z_0-9]+)`").FindAllStringSubmatch(row[1], -1) {
			if !strings.Contains(all, "\r\n"+name[1]+":") {
				t.Errorf("INFO %q has no %s, which docs/operations.md has", all, name[1])
			}
		}
	}
	if one := info("channels"); !strings.HasPrefix(one, "# Channels\r\n") || strings.Contains(one, "# Millrace") {
		t.Errorf("INFO channels: %q", one)
	}
	if none := info("keyspace"); len(none) > 0 {
		t.Errorf("INFO keyspace: %q", none)
	}
}

// Ensure that wrong options are an ErrOptions that names the flag and what would be
// right, and that nothing is left open.
func TestOptions(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		o       Options
		options bool
		text    string
	}{
		{Options{Admin: AdminPort{Listen: ":0"}}, true, "--admin: "},
		{Options{Ops: OpsPort{Listen: ":0"}}, true, "--ops: "},
		{Options{ChannelPrefix: "x"}, true, "--channel-prefix"},
		{Options{Backplane: "redis://127.0.0.1:1?history=x"}, true, "--history: 0"},
		{Options{TurboKey: "x", TurboSecretKeyBase: "y"}, true, "--turbo-key and --turbo-secret-key-base"},
		{Options{Public: server.Config{Retry: -1}}, true, "retry"},
		{Options{Admin: AdminPort{Listen: taken.Addr().String()}}, false, "--admin HOST:PORT"},
		{Options{Admin: AdminPort{Listen: "127.0.0.1:0"}, Ops: OpsPort{Listen: taken.Addr().String()}}, false, "--ops HOST:PORT"},
	} {
		tt.o.Public.Listen = "127.0.0.1:0"
		descriptors := testenv.Descriptors(t)
		n, err := Start(tt.o)
		if err == nil {
			n.Close()
		}
		if err == nil || errors.Is(err, ErrOptions) != tt.options || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%+v: %v, want an error with %q, of options: %v", tt.o, err, tt.text, tt.options)
		}
		if now := testenv.Descriptors(t); now > descriptors {
			t.Errorf("%+v: %d descriptors are left open", tt.o, now-descriptors)
		}
	}
}

// Ensure that a node is ready, renews its secrets, drains and ends.
func TestLife(t *testing.T) {
	o := Options{Admin: AdminPort{Listen: "127.0.0.1:0", Password: "before"}}
	n := startNode(t, o)
	if err := n.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	o.Admin.Password = "after"
	if err := n.Renew(o); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]any{"before": resp.Error("WRONGPASS invalid username-password pair or user is disabled."), "after": "OK"} {
		if got := ask(t, n, "AUTH", password); got != want {
			t.Errorf("AUTH %s: %v, want %v", password, got, want)
		}
	}
	if err := n.Streams().Probe(context.Background()); err != nil {
		t.Errorf("the loops: %v", err)
	}
	n.Drain()
	if err := n.Ready(); err == nil || err.Error() != "millrace is stopping" {
		t.Errorf("ready after Drain: %v", err)
	}
}
