package main

import "testing"

// Ensure that tables of streams entitle to no garbage, and all else to as much as Go allows.
func TestGarbagePercent(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		live, tables int64
		want         int
	}{
		{0, 0, 100},
		{3 * mib, 0, 100},
		{100 * mib, 0, 100}, // a history, say
		{100 * mib, 80 * mib, 20},
		{100 * mib, 99 * mib, 4},
		{20 * mib, 15 * mib, 25},
		{20 * mib, 30 * mib, 20}, // tables that a collection has not seen yet
		{10_000 * mib, 10_000 * mib, 1},
	} {
		if got := garbagePercent(tt.live, tt.tables); got != tt.want {
			t.Errorf("of %d live bytes %d are tables: %d %%, want %d", tt.live, tt.tables, got, tt.want)
		}
	}
}
