package redis

import (
	"os"
	"testing"
)

// Ensure that a server that comes back with all its data is taken for one, and one that
// comes back with old data is not.
func TestServerForgets(t *testing.T) {
	for _, tt := range []struct {
		name, appendonly string
		old              bool     // the data
		gap              []string // what streams are told
	}{
		{"with its append-only file", "yes", false, nil},
		{"with an old append-only file", "yes", true, []string{"gap backplane"}},
		{"with a snapshot", "no", false, []string{"gap backplane"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := startProcess(t, "appendonly "+tt.appendonly)
			node := startNode(t, "redis://"+server.address()+"/?history=streams")
			stream := node.Open("", "/a")
			before := node.Publish("/a", "1")
			if tt.appendonly == "no" {
				server.do("SAVE")
			}
			old := t.TempDir()
			if err := os.CopyFS(old, os.DirFS(server.dir)); err != nil {
				t.Fatal(err)
			}
			node.Publish("/a", "2")
			stream.Want("1", "2")
			server.kill()
			if tt.old {
				os.RemoveAll(server.dir)
				if err := os.CopyFS(server.dir, os.DirFS(old)); err != nil {
					t.Fatal(err)
				}
			}
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

// Ensure that a history that a node has kept shorter is not taken for everything by one that wants
// more, and the other way round.
func TestHistoryRaised(t *testing.T) {
	address := "redis://" + startProcess(t, "stream-node-max-entries 1").address() + "/?history=streams"
	less := openNode(t, address, Options{History: 2})
	var ids []string
	for _, text := range []string{"1", "2", "3", "4"} {
		ids = append(ids, less.Publish("/a", text))
	}
	more := openNode(t, address, Options{History: 9})
	more.Open(ids[0], "/a").Want("gap evicted", "3", "4")
	for _, text := range []string{"5", "6", "7"} {
		ids = append(ids, less.Publish("/a", text))
	}
	openNode(t, address, Options{History: 9}).Open(ids[4], "/a").Want("6", "7")
	openNode(t, address, Options{History: 2})
	more.Publish("/b", "8")
	for range 3 {
		ids = append(ids, more.Publish("/b", "9"))
	}
	more.Open(ids[7], "/b").Want("gap evicted", "9", "9")
}
