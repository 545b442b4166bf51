package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/channels"
)

// replicated is a master, its replica, and a sentinel that watches over both.
type replicated struct{ master, replica, sentinel *process }

func startReplicated(t *testing.T) *replicated {
	t.Helper()
	r := &replicated{master: startProcess(t)}
	r.replica = startProcess(t, fmt.Sprint("replicaof 127.0.0.1 ", r.master.port))
	r.replica.await("it has what the master has", func(ctx context.Context) bool {
		return strings.Contains(r.replica.Info(ctx, "replication").Val(), "master_link_status:up")
	})
	r.sentinel = startSentinel(t, fmt.Sprint("sentinel monitor m 127.0.0.1 ", r.master.port, " 1"),
		"sentinel down-after-milliseconds m 500", "sentinel failover-timeout m 5000")
	r.sentinel.await("it knows the replica", func(ctx context.Context) bool {
		got, _ := r.sentinel.Do(ctx, "SENTINEL", "REPLICAS", "m").Slice()
		return len(got) == 1
	})
	return r
}

func (r *replicated) address() string {
	return "redis+sentinel://" + r.sentinel.address() + "/0?master_name=m"
}

// Ensure that nodes find the new master by themselves when the master is gone.
func TestSentinel(t *testing.T) {
	r := startReplicated(t)
	one, two := startNode(t, r.address()), startNode(t, r.address())
	stream := two.Open("", "/a")
	one.Publish("/a", "1")
	stream.Want("1")
	r.master.kill()
	begun := time.Now()
	if _, err := one.Broker.Publish("/a", channels.Event{Data: []byte("refused")}); err == nil {
		t.Error("publishing without a master: no error")
	} else if took := time.Since(begun); took > 2*timeout {
		t.Errorf("publishing without a master: refused after %v, want %v at most", took, 2*timeout)
	}
	stream.Want("gap backplane")
	one.Publish("/a", "2")
	stream.Want("2")
}

// Ensure that a failover keeps the history, and that messages that the replica lacks are told.
func TestSentinelStreams(t *testing.T) {
	r := startReplicated(t)
	address := r.address() + "&history=streams"
	one, two := startNode(t, address), startNode(t, address)
	first, second := one.Open("", "/a"), two.Open("", "/a", "/b")
	oldest := one.Publish("/a", "1")
	r.replica.await("it has the message", func(ctx context.Context) bool {
		return r.replica.XLen(ctx, "{millrace:0}:stream:/a").Val() == 1
	})
	r.master.do("ACL", "SETUSER", "default", "-psync", "-sync")
	r.master.do("CLIENT", "KILL", "TYPE", "replica")
	lost := two.Publish("/a", "2, of which the replica never hears")
	first.Next(2)
	second.Next(2)
	r.master.kill()
	three := one.Publish("/a", "3")
	first.Want("gap backplane", "3")
	second.Want("gap backplane", "3")
	four := two.Publish("/b", "4")
	one.Publish("/a", "5")
	second.Want("4", "5")
	one.Open(oldest, "/a").Want("gap backplane", "2, of which the replica never hears", "3", "5")
	if ids := []string{oldest, lost, three, four}; !slices.IsSorted(ids) {
		t.Errorf("event ids in the order of publishing: %q, want that of the numbers", ids)
	}
	other := startNode(t, address) // which has only what Redis has
	other.Open(oldest, "/a").Want("gap evicted", "3", "5")
	other.Open(lost, "/a").Want("gap evicted", "3", "5")
	other.Open("earliest", "/a").Want("1", "3", "5")
	other.Open(four, "/a", "/b").Want("5")
}
