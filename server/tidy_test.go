package server

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Ensure that a loop gives back what a crowd needed: lists, tables of channels and
// side tables, and that those who stay are served as before.
func TestTidyAfterAPeak(t *testing.T) {
	const streams, stay = longList + 100, 10
	h := turnByHand(t, Config{}, channels.Options{})
	var descriptors []int32
	for i := range streams {
		fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		h.server.open.Add(1)
		h.server.streams.Add(1)
		h.most = max(h.most, h.counters.connections.Add(1))
		c := h.table.claim(int32(fd), h.number, slot{state: stateHead})
		h.startStream(int32(fd), c, nil, [][]byte{[]byte("/x"), fmt.Append(nil, "/", i)}, nil)
		descriptors = append(descriptors, int32(fd))
	}
	all := h.locals[0]
	if n := len(all.subscribers); n != streams || len(h.locals) != 1+streams {
		t.Fatalf("%d streams on the common channel, %d channels, want %d and one each", n, len(h.locals), streams)
	}
	// Those who stay are anywhere, also at the end.
	every := streams/(stay-1) - 1
	for i, fd := range descriptors {
		if i%every != 3 || i/every >= stay {
			h.end(fd, h.table.at(fd), reasonClient)
		}
	}
	if n := cap(all.subscribers); n >= longList {
		t.Errorf("the list of %d subscribers has room for %d", len(all.subscribers), n)
	}
	if n := cap(h.locals) + cap(h.unused); n > fewToTidy {
		t.Errorf("the tables of channels have room for %d, and %d are left", n, len(h.byChannel))
	}
	publish(t, h.broker, "/x", "news", stay)
	h.turnOver()
	publish(t, h.broker, "/3", "news", 1)
	h.turnOver()
	if n := h.counters.deliveries.Load(); n != stay+1 {
		t.Errorf("%d deliveries to those who stayed, want %d", n, stay+1)
	}
	for range 3 { // indexes are given out again, each once
		fd, _ := h.stream("/new")
		h.end(fd, h.table.at(fd), reasonClient)
	}
	if len(h.locals) != len(h.unused)+1+stay {
		t.Errorf("%d places of channels, %d of them unused, with %d channels", len(h.locals), len(h.unused), 1+stay)
	}
}

// Ensure that a map that is made anew is as small as what is in it.
func TestRemadeMaps(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	m := make(map[int32]*slowReader)
	for i := range int32(200_000) {
		m[i] = nil
	}
	for i := range int32(199_990) {
		delete(m, i)
	}
	peak := heap() - before
	m = remade(m)
	after := heap()
	if len(m) != 10 || after > before && after-before > peak/10 {
		t.Errorf("a map of %d takes %d bytes, and took %d with 200,000", len(m), int64(after-before), peak)
	}
}
