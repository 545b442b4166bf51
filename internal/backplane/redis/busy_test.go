package redis

import (
	"context"
	"strings"
	"testing"
	"time"

	"millrace/channels"
)

// Ensure that a server which runs somebody's script, and refuses everything meanwhile,
// keeps its nodes, and loses them nothing: a stream that comes meanwhile begins afterwards.
func TestBusy(t *testing.T) {
	for _, form := range []string{"", "?history=streams"} {
		server := startProcess(t, "busy-reply-threshold 10")
		node := startNode(t, "redis://"+server.address()+"/"+form)
		stream := node.Open("", "/a")
		node.Publish("/a", "1")
		go server.Eval(context.Background(), "while true do end", nil)
		server.await("it is busy", func(ctx context.Context) bool {
			return isBusy(server.Get(ctx, "x").Err())
		})
		opened := make(chan []string)
		go func() {
			late := node.Open("", "/new")
			node.Publish("/new", "2")
			opened <- late.Next(1)
		}()
		for begun := time.Now(); time.Since(begun) < 2500*time.Millisecond; <-time.After(20 * time.Millisecond) { // a ping and more
			if _, err := node.Broker.Publish("/a", channels.Event{}); err == nil || !strings.Contains(err.Error(), "was not published: Redis: BUSY") {
				t.Fatalf("publishing: %v, want that it was not, and BUSY", err)
			}
			if err := node.Broker.Health(); err != nil {
				t.Fatalf("%q: the node has lost a busy server: %v", form, err)
			}
		}
		server.do("SCRIPT", "KILL")
		if got := <-opened; got[0] != "2" {
			t.Errorf("%q: a new stream got %q, want 2", form, got)
		}
		node.Publish("/a", "3")
		stream.Want("1", "3")
	}
}
