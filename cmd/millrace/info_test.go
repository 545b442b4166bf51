package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/logs"
)

// Ensure that INFO has the figures of a node, and that the streams that are behind
// are listed, as one that does not read is.
func TestInfo(t *testing.T) {
	c := &serveCommand{Listen: "127.0.0.1:0", Admin: off, Ops: "127.0.0.1:0", Loops: 1, MaxEventBytes: 64 << 10, HistoryBytes: 1 << 20}
	queue := logs.Open(io.Discard, c.logForm)
	defer queue.Close(patience)
	n, err := c.open(queue)
	if err != nil {
		t.Fatal(err)
	}
	n.start()
	defer n.close()
	nc, err := net.Dial("tcp", n.public.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "GET /a%20b?channel=c,d HTTP/1.1\r\nHost: h\r\n\r\n")
	published := 0
	for deadline := time.Now().Add(time.Minute); n.public.Stats().Behind == 0; published++ {
		if _, err := n.broker.Publish("/a b", channels.Event{Data: []byte(strings.Repeat("x", 60<<10))}); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the stream takes everything and does not read")
		}
	}
	list, err := n.appendSlowReaders(nil, 5)
	want := regexp.MustCompile(`^addr=127\.0\.0\.1:\d+ channels=/a%20b,c%2Cd loop=0 behind=\d+ lapped=[01] seconds=\d+\.\d{3}\n$`)
	if err != nil || !want.Match(list) {
		t.Errorf("slow readers: %q, %v, want %s", list, err, want)
	}
	all := string(n.appendInfo(nil, ""))
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
	if one := string(n.appendInfo(nil, "channels")); !strings.HasPrefix(one, "# Channels\r\n") || strings.Contains(one, "# Millrace") {
		t.Errorf("INFO channels: %q", one)
	}
	if none := n.appendInfo(nil, "keyspace"); len(none) > 0 {
		t.Errorf("INFO keyspace: %q", none)
	}
}
