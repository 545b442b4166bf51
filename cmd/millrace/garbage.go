package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// leastGarbage is how much garbage may gather before the collector runs, in bytes, however
	// little is live: as much as Go allows the smallest heap.
	leastGarbage = 4 << 20
	// streamTables are the bytes of the heap that an open connection or stream has in tables
	// without pointers: its slot, its timer, its place in a list.
	streamTables = 80
	// garbageTime is how often the bound is set anew.
	garbageTime = 5 * time.Second
)

// boundGarbage keeps the process from growing to twice what its streams take, until quit is
// closed. Go lets as much garbage gather as is live, since to collect costs as much as what is
// live has pointers. Tables of streams have none, so they entitle to no garbage here: TLS makes
// 50 KB of it with every handshake and some KB with every record, so it would be there all the
// time. streams returns how many are open. If GOGC is set, that counts.
func boundGarbage(streams func() int64, quit <-chan struct{}) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticks := time.NewTicker(garbageTime)
	defer ticks.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	most := int64(0) // streams so far, as tables stay
	for percent := 100; ; {
		select {
		case <-quit:
			return
		case <-ticks.C:
		}
		metrics.Read(live)
		most = max(most, streams())
		want := garbagePercent(int64(live[0].Value.Uint64()), most*streamTables)
		if want < percent*9/10 || want > percent*11/10 { // each change stops the program for a moment
			percent = want
			debug.SetGCPercent(percent)
		}
	}
}

// garbagePercent returns how much garbage may gather as a share of what is live, of which so
// many bytes are tables.
func garbagePercent(live, tables int64) int {
	garbage := max(live-tables, leastGarbage)
	return int(min(100, max(1, 100*garbage/max(live, 1))))
}
