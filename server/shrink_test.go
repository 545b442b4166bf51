package server

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
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
