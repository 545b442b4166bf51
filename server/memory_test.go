package server

import (
	"fmt"
	"runtime"
	"testing"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that a stranger's channels take no more memory than the documentation says,
// and that it goes back when they go.
func TestMemoryOfChannels(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector takes memory")
	}
	const streams, each = 300, 64
	h := turnByHand(t, Config{}, channels.Options{})
	open := func(name func(stream, i int) []byte) (fds []int32) {
		for s := range streams {
			names := make([][]byte, each)
			for i := range names {
				names[i] = name(s, i)
			}
			fds = append(fds, int32(openNullStream(t, h, names)))
		}
		return fds
	}
	end := func(fds []int32) {
		for _, fd := range fds {
			h.end(h.conn(fd), reasonClient)
		}
	}
	shared := func(_, i int) []byte { return fmt.Appendf(nil, "/shared/%04d", i) }
	own := func(s, i int) []byte { return fmt.Appendf(nil, "/own/%04d/%04d", s, i) }
	end(open(shared)) // what appears once
	start := heapInUse()
	fds := open(shared)
	perMembership := float64(heapInUse()-start) / (streams * each)
	end(fds)
	before := heapInUse()
	fds = open(own)
	perChannel := float64(heapInUse()-before) / (streams * each)
	end(fds)
	left := heapInUse() - before
	t.Logf("%.1f bytes a subscription, %.1f a channel with its name of 14; %d left", perMembership, perChannel, left)
	if perMembership > 24 {
		t.Errorf("%.1f bytes a subscription of a channel that exists, want at most 24", perMembership)
	}
	if perChannel > 320+16 {
		t.Errorf("%.1f bytes a channel with a name of 14, want at most 320 beside the name", perChannel)
	}
	if left > 16*streams*each {
		t.Errorf("%d bytes are left of %d channels that are gone", left, streams*each)
	}
	runtime.KeepAlive(h.loop)
}

func heapInUse() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
