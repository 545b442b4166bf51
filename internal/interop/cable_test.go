package interop

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/testenv"
	"millrace/server"
)

// ruby returns a program of testdata which needs these gems.
func ruby(t *testing.T, gems []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	for _, gem := range gems {
		if out, err := command(t, "ruby", "-e", "gem "+fmt.Sprintf("%q", gem)).CombinedOutput(); err != nil {
			testenv.Lack(t, fmt.Sprintf("the gem %s is missing (Debian: ruby-%s): %s", gem, gem, out))
		}
	}
	return command(t, "ruby", append([]string{"testdata/" + name}, args...)...)
}

// Ensure that one cable.yml serves both: a real Action Cable subscribes and
// broadcasts at the admin port, beside event streams of the same channel.
func TestActionCable(t *testing.T) {
	f := start(t, server.Config{}, 0)
	stream := f.wire()
	f.awaitSubscribers(1)
	cmd := ruby(t, []string{"actioncable", "redis"}, "cable.rb", "redis://"+f.admin+"/1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(printed(t, cmd))
	want := func(unordered ...string) {
		t.Helper()
		for n := len(unordered); n > 0; n-- {
			got, err := lines.ReadString('\n')
			if i := strings.Index(strings.Join(unordered, "\n")+"\n", got); i < 0 || err != nil {
				t.Fatalf("Action Cable printed %q, want one of %q (%v)", got, unordered, err)
			}
		}
	}
	want("subscribed")
	for channel, n := range map[string]int{"/sse/test": 2, "_action_cable_internal": 1} {
		if got := f.broker.Ports().Subscribers(channel); got != n {
			t.Errorf("%d subscribers of %s, want %d", got, channel, n)
		}
	}
	for _, text := range []string{"one", "Grüße, 世界", "three"} {
		io.WriteString(stdin, text+"\n")
		want(`["broadcast",2]`, `["received","{\"text\":\"`+text+`\"}"]`)
		stream("data: {\"text\":\"" + text + "\"}\n\n")
	}
	if r, err := f.broker.Publish(channel, channels.Event{Data: []byte(`{"from":"elsewhere"}`)}); r.Receivers != 2 || err != nil {
		t.Errorf("%d receivers, %v, want 2", r.Receivers, err)
	}
	want(`["received","{\"from\":\"elsewhere\"}"]`)
	stdin.Close()
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Errorf("and then it printed %q (%v)", rest, err)
	}
}
