package timerwheel

import (
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	table := newChunked(1024)
	w := New(table, tick, 0)
	for i := range int32(1000) {

		w.Schedule(i, tick*time.Duration(7+i))
	}
	n := 0
	w.Advance(tick*1006, 1<<30, func(int32) { n++ })
	if n != 1000 || w.Len() != 0 {
		t.Fatalf("%d expired, %d left, want 1000 and 0", n, w.Len())
	}
}
