package redis

import "testing"

// Ensure that a server that comes back with all its data is taken for one, and one that
// comes back with old data is not.
func TestServerForgets(t *testing.T) {
	for _, tt := range []struct {
		name, appendonly string
		gap              []string // what streams are told
	}{
		{"with its append-only file", "yes", nil},
		{"with a snapshot", "no", []string{"gap backplane"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := startProcess(t, "appendonly "+tt.appendonly)
			node := startNode(t, "redis://"+server.address()+"/?history=streams")
			stream := node.Open("", "/a")
			before := node.Publish("/a", "1")
			if tt.appendonly == "no" {
				server.do("SAVE")
			}
			node.Publish("/a", "2")
			stream.Want("1", "2")
			server.kill()
			node.AwaitHealth(false)
			server.start()
			node.AwaitHealth(true)
			node.Publish("/a", "3")
			stream.Want(append(tt.gap, "3")...)
			after := stream.LastID
			other := startNode(t, "redis://"+server.address()+"/?history=streams")
			if tt.gap == nil {
				other.Open(before, "/a").Want("2", "3")
			} else {
				other.Open(before, "/a").Want("gap evicted", "3")
			}
			node.Publish("/a", "4")
			other.Open(after, "/a").Want("4")
		})
	}
}
