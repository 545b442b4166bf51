package server

import (
	"maps"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/netpoll"
	"millrace/internal/testenv"
)

// Ensure that a map that gives memory back has what any map has.
func TestPeakedAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, want := newPeaked[int32, int](), map[int32]int{}
		for i := range rapid.IntRange(0, 1000).Draw(t, "entries") {
			p.set(int32(i), i)
			want[int32(i)] = i
		}
		for range rapid.IntRange(0, 2000).Draw(t, "steps") {
			key := int32(rapid.IntRange(0, 1000).Draw(t, "key"))
			p.remove(key)
			delete(want, key)
			if rapid.IntRange(0, 9).Draw(t, "set") == 0 {
				p.set(key, 7)
				want[key] = 7
			}
			if p.peak > 8*len(p.m)+64 {
				t.Fatalf("%d entries in a map that has had %d", len(p.m), p.peak)
			}
		}
		if !maps.Equal(p.m, want) {
			t.Fatalf("%v, want %v", p.m, want)
		}
	})
}

// Ensure that a list of subscribers gives back what a crowd needed, and moves seldom.
func TestBriefLists(t *testing.T) {
	var list []streamID
	for i := range streamID(200_000) {
		list = append(roomy(list), i)
	}
	moves := 0
	for len(list) > 0 {
		before := cap(list)
		list = brief(list[:len(list)-1])
		if cap(list) != before {
			moves++
		}
		if n := len(list); cap(list) > max(4*n+4, longList) || n > 0 && list[n-1] != streamID(n-1) {
			t.Fatalf("a list of %d has room for %d", n, cap(list))
		}
	}
	if moves > 10 {
		t.Errorf("the list moved %d times", moves)
	}
}

// Ensure that the tables of a loop give memory back when a crowd of 200,000 streams has
// left, each of which was in all of them.
func TestMemoryAfterACrowd(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector takes memory")
	}
	const crowd, stay = 200_000, 100
	h := turnByHand(t, Config{}, channels.Options{})
	tables := []struct {
		name   string
		set    func(id streamID)
		remove func(id streamID)
	}{
		{"readers", func(id streamID) { h.readers.set(id, &slowReader{}) }, h.readers.remove},
		{"waiting", func(id streamID) { h.waiting.set(id, &waiter{}) }, h.waiting.remove},
		{"unfinished heads", func(id streamID) { h.unfinished.set(id, &unfinishedHead{}) }, h.unfinished.remove},
		{"peers", func(id streamID) { h.peers.set(id, netpoll.Peer{}) }, h.peers.remove},
	}
	for _, table := range tables {
		before := heapInUse()
		for id := range streamID(crowd) {
			table.set(id)
		}
		peak := heapInUse() - before
		for id := range streamID(crowd - stay) {
			table.remove(id)
		}
		left := heapInUse() - before
		t.Logf("%s: %d bytes a stream, %d bytes left of %d", table.name, peak/crowd, left, peak)
		if left > peak/20 {
			t.Errorf("%s: %d bytes are left of %d when %d of %d streams stay, want 5 %%", table.name, left, peak, stay, crowd)
		}
	}
	runtime.KeepAlive(h.loop)
}
