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

// Ensure that a list of subscribers gives back what a crowd needed, and moves seldom.
func TestBriefLists(t *testing.T) {
	var list []int32
	for i := range int32(200_000) {
		list = append(roomy(list), i)
	}
	moves := 0
	for len(list) > 0 {
		before := cap(list)
		list = brief(list[:len(list)-1])
		if cap(list) != before {
			moves++
		}
		if n := len(list); cap(list) > max(4*n+4, longList) || n > 0 && list[n-1] != int32(n-1) {
			t.Fatalf("a list of %d has room for %d", n, cap(list))
		}
	}
	if moves > 10 {
		t.Errorf("the list moved %d times", moves)
	}
}
