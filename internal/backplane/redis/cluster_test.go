package redis

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// startCluster runs three masters and returns the URL.
func startCluster(t *testing.T) string {
	t.Helper()
	const slots = 16384
	var servers []*process
	for i := range 3 {
		s := startProcess(t, "cluster-enabled yes", "cluster-node-timeout 5000")
		s.do("CLUSTER", "ADDSLOTSRANGE", slots*i/3, slots*(i+1)/3-1)
		s.do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		servers = append(servers, s)
	}
	for _, s := range servers[1:] {
		s.do("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
	}
	for _, s := range servers {
		s.await("the cluster is complete", func(ctx context.Context) bool {
			info := s.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:3")
		})
	}
	return "redis+cluster://" + servers[0].address() + "?addr=" + servers[2].address()
}

// Ensure that nodes are linked whichever servers of the cluster hold their channels, and
// that the order is what it is said to be.
func TestCluster(t *testing.T) {
	address := startCluster(t)
	names := []string{"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"} // of slots of every server
	var same, each []string                                           // what is published on one channel, and on all
	for _, name := range names {
		same, each = append(same, "0 "+name), append(each, name)
	}
	t.Run("Plain", func(t *testing.T) {
		here, there := startNode(t, address), startNode(t, address)
		all, single := there.Open("", names...), there.Open("", names[0])
		for i, name := range names {
			here.Publish(name, each[i])
			here.Publish(names[0], same[i])
		}
		got := all.Next(2 * len(names))
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(append(same, each...))); !slices.Equal(got, want) {
			t.Errorf("in whatever order, got %q, want %q", got, want)
		}
		single.Want(append([]string{each[0]}, same...)...)
	})
	t.Run("Streams", func(t *testing.T) {
		address += "&history=streams"
		here, there := startNode(t, address), startNode(t, address)
		stream := there.Open("", names...)
		var ids []string
		for i, name := range names {
			ids = append(ids, here.Publish(name, each[i]))
		}
		stream.Want(each...)
		stream.Close()
		there.Open(ids[2], names[1:6]...).Want(each[3:6]...)
		startNode(t, address).Open(ids[2], names[1:6]...).Want(each[3:6]...)
	})
}
