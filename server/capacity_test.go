package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"millrace/channels"
	"millrace/internal/fdtable"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that tables and loops follow from the limit and what is asked for.
func TestPlanCapacity(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	shared := capacity{limit: 20_000, loops: cores, table: roomOf{18_750, 19_375}, room: 18_750, streams: 18_750}
	perLoop := roomOf{19_688, 19_844}
	tests := []struct {
		name  string
		cfg   Config
		limit int
		want  capacity
	}{
		{"nothing asked", Config{}, 20_000, shared},
		{"as many as one table has room for", Config{MaxConnections: 18_750}, 20_000, shared},
		{"shared all the same", Config{MaxConnections: 50_000, FDTables: FDTablesShared, Loops: 3}, 20_000,
			capacity{limit: 20_000, loops: 3, table: roomOf{18_750, 19_375}, room: 18_750, streams: 50_000}},
		{"a tiny limit", Config{Loops: 1}, 60, capacity{limit: 60, loops: 1, table: roomOf{1, 2}, room: 1, streams: 1}},
		{"no limit to speak of", Config{Loops: 1}, 1 << 30,
			capacity{limit: maxTable, loops: 1, table: roomOf{maxTable - 2048, maxTable - 1024}, room: maxTable - 2048, streams: maxTable - 2048}},
	}
	if fdtable.Supported() == nil {
		tests = append(tests, []struct {
			name  string
			cfg   Config
			limit int
			want  capacity
		}{
			{"a million", Config{MaxConnections: 1_000_000}, 20_000,
				capacity{limit: 20_000, perLoop: true, loops: 55, table: perLoop, room: 55 * 19_688, streams: 1_000_000}},
			{"a table a loop", Config{FDTables: FDTablesPerLoop, Loops: 4}, 20_000,
				capacity{limit: 20_000, perLoop: true, loops: 4, table: perLoop, room: 4 * 19_688, streams: 4 * 19_688}},
		}...)
	}
	for _, tt := range tests {
		tt.want.channels = 4 * tt.want.streams
		if got, err := planCapacity(&tt.cfg, tt.limit); err != nil || got != tt.want {
			t.Errorf("%s: %+v with a limit of %d gives %+v, %v; want %+v", tt.name, tt.cfg, tt.limit, got, err, tt.want)
		}
	}
	if _, err := planCapacity(&Config{FDTables: "many"}, 20_000); !errors.Is(err, ErrConfig) {
		t.Errorf(`descriptor tables "many": %v, want an ErrConfig`, err)
	}
	if fdtable.Supported() != nil {
		if _, err := planCapacity(&Config{FDTables: FDTablesPerLoop}, 20_000); !errors.Is(err, ErrConfig) || !errors.Is(err, fdtable.ErrUnsupported) {
			t.Errorf("a table per loop where there can be none: %v, want an ErrConfig that says so", err)
		}
	}
}

// needPerLoop skips a test where loops cannot have descriptor tables.
func needPerLoop(t *testing.T) {
	t.Helper()
	if err := fdtable.Supported(); err != nil {
		t.Skip(err)
	}
}

// Ensure that with a table per loop the process's own table holds none of the
// connections, each loop's holds its share and nothing that it does not need,
// and a stream that is closed by the server is closed for its client at once.
func TestTablePerLoop(t *testing.T) {
	needPerLoop(t)
	const loops, streams, ferry = 4, 200, 2
	before := testenv.Descriptors(t)
	s, b := start(t, Config{Loops: loops, FDTables: FDTablesPerLoop}, channels.Options{})
	if now := testenv.Descriptors(t); now != before+loops+ferry {
		t.Errorf("the process's table has %d descriptors more, want the %d wakers and the ferry's %d", now-before, loops, ferry)
	}
	var clients []*client
	for range streams {
		clients = append(clients, subscribe(t, s, "/x"))
	}
	held := 0
	for _, n := range ownTables(t) {
		// Standard files, the runtime's poller and its wake descriptor, all
		// wakers, the ferry; poller, its own wake descriptor, and listener of the loop.
		const fixed = 3 + 2 + loops + ferry + 3
		if n < fixed {
			t.Errorf("a loop's table has %d descriptors, want at least %d", n, fixed)
		}
		held += n - fixed
	}
	if held != streams {
		t.Errorf("beside what they need the loops' tables hold %d descriptors, want the %d streams", held, streams)
	}
	for i := range 20 {
		publish(t, b, "/x", fmt.Sprint(i), streams)
	}
	for _, c := range clients {
		for i := range 20 {
			c.want(fmt.Sprintf("data: %d\n\n", i))
		}
	}
	s.Close()
	for _, c := range clients {
		if _, err := c.r.ReadByte(); err == nil || os.IsTimeout(err) {
			t.Fatalf("after Close a client reads %v, want its end", err)
		}
	}
	if left := ownTables(t); len(left) != 0 {
		testenv.Eventually(t, "the loops' threads have ended", func() bool { return len(ownTables(t)) == 0 })
	}
}

// ownTables returns the sizes of the descriptor tables of this process's
// threads that are not the process's own.
func ownTables(t *testing.T) (sizes []int) {
	t.Helper()
	common := descriptorsOf(t, "/proc/self/fd")
	tasks, err := filepath.Glob("/proc/self/task/*/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range tasks {
		if fds := descriptorsOf(t, dir); len(fds) > 0 && !slices.Equal(fds, common) {
			sizes = append(sizes, len(fds))
		}
	}
	return sizes
}

// descriptorsOf lists a table, without the descriptor that lists it.
func descriptorsOf(t *testing.T, dir string) (fds []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) { // else the thread has just ended
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			fds = append(fds, entry.Name()+" "+target)
		}
	}
	return fds
}

// Ensure that a pause for want of room ends as soon as a client of the loop has been
// answered, or leaves, and not only by its timer.
func TestPauseForRoomEnds(t *testing.T) { ssetest.Over(t, testPauseForRoomEnds) }

func testPauseForRoomEnds(t *testing.T, via ssetest.Transport) {
	for name, give := range map[string]func(p *peer){
		"answered": func(p *peer) { p.ask("/robots.txt") },
		"left":     func(p *peer) { p.leave() },
	} {
		h := turnByHandOver(t, via, Config{}, channels.Options{})
		first, second := h.dial(via), h.dial(via)
		defer first.leave()
		defer second.leave()
		h.occupancy.common, h.occupancy.share = 2, 0
		next, err := net.Dial("tcp", h.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		h.on(h.listeners[0].descriptor, true, false)
		if n := h.counters.accepted.Load(); !h.listeners[0].paused || n != 2 {
			t.Errorf("%s: paused %t, %d accepted, want a pause after 2", name, h.listeners[0].paused, n)
		}
		give(first)
		h.wake()
		if n := h.counters.accepted.Load(); n != 3 {
			t.Errorf("%s: %d accepted, want 3", name, n)
		}
	}
}

// Ensure that loops that share a table each have room for some clients, whatever the
// others hold, and all together no more than the table has.
func TestLoopsShareRoom(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	for _, tt := range []struct {
		room  roomOf
		loops int
	}{{roomOf{128, 192}, 2}, {roomOf{18_750, 19_375}, 64}, {roomOf{1, 2}, 1}} {
		p := newOccupancy(tt.room, tt.loops)
		if all := int(p.common) + tt.loops*int(p.share); all > tt.room.sockets || int(p.common) < tt.room.streams {
			t.Errorf("%+v: %d in common and %d for each of %d loops", tt.room, p.common, p.share, tt.loops)
		}
		h.occupancy = p
		for _, held := range []struct {
			common, own int64
			want        bool
		}{{p.common - 1, p.share, false}, {p.common, p.share - 1, false}, {p.common, p.share, true}} {
			p.sockets.Store(held.common)
			h.counters.connections.Store(held.own + 5)
			h.counters.streams.Store(5)
			if h.full() != held.want {
				t.Errorf("%+v, %d loops: full with %+v: %t, want %t", tt.room, tt.loops, held, h.full(), held.want)
			}
		}
	}
	h.counters.connections.Store(0)
	h.counters.streams.Store(0)
}
