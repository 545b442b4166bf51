package redis

import (
	"bufio"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// Ensure that broadcasts of Rails with its Redis adapter reach streams, whether
// it is told of the Redis that links the nodes, or of millrace itself.
func TestRails(t *testing.T) {
	ruby, curl := testenv.Need(t, "ruby"), testenv.Need(t, "curl")
	if out, err := exec.Command(ruby, "-e", `require "logger"; require "active_support/all"; require "action_cable"; require "redis"`).CombinedOutput(); err != nil {
		testenv.Lack(t, "Debian's ruby-actioncable and ruby-redis: "+string(out))
	}
	server := newServer(t)
	server.Start(t)
	proxy := enginetest.StartProxy(t, server.Dial)
	program := testenv.Program(t, testenv.Race)
	linked := enginetest.StartNode(t, program, "--backplane", server.URL(proxy.Address()), "--channel-prefix", "app_production", "--history", "0", "--keepalive", "0")
	alone := enginetest.StartNode(t, program, "--history", "0", "--keepalive", "0")
	_, admin := alone.Addresses()
	for _, tt := range []struct {
		name, url, prefix string
		node              *enginetest.Node
	}{
		{"through Redis", "redis://" + proxy.Address() + "/1", "app_production", linked},
		{"through the admin port", "redis://" + admin + "/1", "", alone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			public, _ := tt.node.Addresses()
			names := []string{"/sse/test", "räume/世界 & co"}
			var streams []func(want string)
			for _, name := range names {
				streams = append(streams, listen(t, curl, "http://"+public+"/"+url.PathEscape(strings.TrimPrefix(name, "/"))+"?channel="+url.QueryEscape(name)))
			}

			out, err := exec.Command(ruby, append([]string{"testdata/broadcast.rb", tt.url, tt.prefix}, names...)...).CombinedOutput()

			if err != nil || string(out) != "1\n1\n" {
				t.Fatalf("broadcast.rb: %v, printed %q, want 1 for each channel", err, out)
			}
			for _, want := range streams {
				want("data: {\"foo\":\"bar\"}\n\n" +
					"data: {\"größe\":\"世界\",\"lines\":\"a\\nb\"}\n\n" +
					"data: \"\\u003cturbo-stream\\u003e\"\n\n")
			}
		})
	}
}

// listen opens a stream with curl and returns a function that reads as much as its
// argument from it and compares.
func listen(t *testing.T, curl, address string) (want func(text string)) {
	t.Helper()
	cmd := exec.Command(curl, "--silent", "--show-error", "--no-buffer", "--max-time", "30", address)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	r := bufio.NewReader(stdout)
	want = func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if n, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Fatalf("curl %s: read %q, want %q (%v)", address, got[:n], text, err)
		}
	}
	want(":\n\n")
	return want
}
