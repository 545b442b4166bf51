package certs

import (
	"slices"
	"testing"
	"time"
)

// Ensure that keys are drawn every day and open for a week, and that the process that takes
// over seals with those of the one before, whose tickets it opens, for no longer than that.
func TestDrawnKeys(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var used, after [][32]byte
	k := DrawKeys(func(keys [][32]byte) { used = keys }, now)
	first := used[0]
	for day := range 10 {
		k.Turn(now.Add(time.Duration(day)*sealFor + time.Hour))
		if want := min(day+1, 7); len(used) != want {
			t.Errorf("day %d: %d keys, want %d", day, len(used), want)
		}
		if got, want := slices.Contains(used, first), day < 7; got != want {
			t.Errorf("day %d: that the first key opens is %t, want %t", day, got, want)
		}
	}
	now = now.Add(9*sealFor + time.Hour)
	next := DrawKeys(func(keys [][32]byte) { after = keys }, now)
	own := after[0]
	for range 2 { // twice is once
		next.Follow(k.Keys(), now)
		if want := append(slices.Clone(used), own); !slices.Equal(after, want) {
			t.Errorf("%d keys are used, want the %d of the process before, and the own one last", len(after), len(used))
		}
	}
	next.Turn(now.Add(sealFor))
	if slices.Contains(used, after[0]) || after[0] == own {
		t.Error("the next day no key was drawn")
	}
	next.Turn(now.Add(20 * sealFor))
	if len(after) != 1 {
		t.Errorf("%d keys are used after weeks, want 1", len(after))
	}
}
