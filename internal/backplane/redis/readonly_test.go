package redis

import (
	"context"
	"os"
	"strings"
	"testing"

	"millrace/channels"
)

// Ensure that a server that takes no writes is read all the same: by nodes that are
// there and by one that comes, on channels that are new to them, and that everything
// is as ever when it takes writes again.
func TestNoWrites(t *testing.T) {
	for _, tt := range []struct {
		code         string
		begin, end   []any // commands
		mayBeMissing bool  // afterwards
	}{
		{"OOM", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}, false},
		{"READONLY", []any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}, true},
		{"MISCONF", []any{"BGSAVE"}, []any{"CONFIG", "SET", "stop-writes-on-bgsave-error", "no"}, false},
	} {
		t.Run(tt.code, func(t *testing.T) {
			server := startProcess(t)
			address := "redis://" + server.address() + "/?history=streams"
			node, other := startNode(t, address), startNode(t, address)
			stream := node.Open("", "/a")
			ids := []string{node.Publish("/a", "1"), node.Publish("/a", "2"), node.Publish("/b", "3")}
			stream.Want("1", "2")
			if tt.code == "MISCONF" {
				os.RemoveAll(server.dir)
				server.do("CONFIG", "SET", "save", "3600 1")
			}
			server.do(tt.begin...)
			server.await("it takes no writes", func(ctx context.Context) bool {
				err := server.Set(ctx, "x", "y", 0).Err()
				return err != nil && strings.HasPrefix(err.Error(), tt.code)
			})
			_, err := node.Broker.Publish("/a", channels.Event{Data: []byte("refused")})
			if err == nil || !strings.Contains(err.Error(), "was not published") || !strings.Contains(err.Error(), tt.code) {
				t.Errorf("publishing: %v, want an error that says that it was not, and %s", err, tt.code)
			}
			fresh := startNode(t, address)
			late := other.Open(ids[0], "/a", "/b")
			late.Want("2", "3")
			fresh.Open(ids[1], "/a", "/b").Want("3")
			opened := fresh.Open("", "/new")
			opened.WantNothing()
			stream.WantNothing()
			for i, n := range []*channels.Broker{node.Broker, other.Broker, fresh.Broker} {
				if err := n.Health(); err != nil {
					t.Errorf("node %d: %v, want it connected", i, err)
				}
			}

			server.do(tt.end...)
			node.Publish("/a", "4")
			node.Publish("/new", "5")
			stream.Want("4")
			late.Want("4")
			opened.Want("5")
			want := []string{"3", "4"}
			if tt.mayBeMissing { // it might have been another's replica meanwhile
				want = append([]string{"gap evicted"}, want...)
			}
			startNode(t, address).Open(ids[1], "/a", "/b").Want(want...)
		})
	}
}

// Ensure that a fresh server that never took a write keeps no node from its streams.
func TestNeverAnyWrite(t *testing.T) {
	server := startProcess(t, "maxmemory 1")
	address := "redis://" + server.address() + "/?history=streams"
	node := startNode(t, address)
	stream := node.Open("", "/a")
	stream.WantNothing()
	server.do("CONFIG", "SET", "maxmemory", "0")
	startNode(t, address).Publish("/a", "1")
	if got := stream.Next(2); got[0] != "gap restart" || got[1] != "1" {
		t.Errorf("when it takes writes, a stream got %q, want a gap and 1", got)
	}
}

// Ensure that an eviction by Redis is told, and once it is past, nothing is.
func TestEvicted(t *testing.T) {
	for _, policy := range []string{"volatile-lru", "allkeys-lru"} {
		t.Run(policy, func(t *testing.T) {
			server := startProcess(t, "maxmemory-policy "+policy)
			address := "redis://" + server.address() + "/?history=streams"
			node := startNode(t, address)
			first := node.Publish("/a", "1")
			for range 5 {
				node.Publish("/a", "more")
			}
			used := server.Info(t.Context(), "memory").Val()
			used, _, _ = strings.Cut(used[strings.Index(used, "used_memory:")+len("used_memory:"):], "\r\n")
			server.do("CONFIG", "SET", "maxmemory", used)
			server.await("the stream is evicted", func(ctx context.Context) bool {
				if policy == "allkeys-lru" { // the clock may go too, which is told as well
					server.HGetAll(ctx, "{millrace:0}:clock")
				}
				server.Get(ctx, "x") // has it look for memory
				return server.Exists(ctx, "{millrace:0}:stream:/a").Val() == 0
			})
			server.do("CONFIG", "SET", "maxmemory", "0")
			other := startNode(t, address)
			got := other.Open(first, "/a").Next(1)
			if !strings.HasPrefix(got[0], "gap ") || policy == "volatile-lru" && got[0] != "gap evicted" {
				t.Errorf("a client that resumes got %q, want a gap", got)
			}
			after := other.Publish("/a", "2")
			other.Publish("/a", "3")
			startNode(t, address).Open(after, "/a").Want("3")
		})
	}
}
