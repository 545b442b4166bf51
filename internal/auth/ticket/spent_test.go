package ticket

import (
	"encoding/binary"
	"runtime"
	"testing"
)

// Ensure that tickets which have been opened take what the docs say, 43 bytes each.
func TestMemoryOfSpent(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := spent{most: maxSpent / 8} // the maps grow by factors of two
	for i := range uint64(s.most) {
		c := contents{issued: int64(i) + 1, until: 1 << 30}
		binary.LittleEndian.PutUint64(c.family[:], i)
		if got := s.open(&c, 0); got != opened {
			t.Fatalf("ticket %d: %v", i, got)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	known, _ := s.figures()
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(known)
	t.Logf("%d tickets, %.1f bytes each", known, each)
	if each > 60 {
		t.Errorf("a ticket takes %.1f bytes, want at most 60", each)
	}
	runtime.KeepAlive(&s)
}
