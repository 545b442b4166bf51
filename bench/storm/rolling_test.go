package storm

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Ensure that the shares are those that can be worked out by hand.
func TestRollingRestart(t *testing.T) {
	for _, tt := range []struct {
		nodes, together int
		by              Balance
		want            Rolling
	}{
		{2, 1, AtRandom, Rolling{2, 2, 0, 2}}, // 0 2, 2 0
		{2, 1, LeastConnections, Rolling{2, 2, 0, 2}},
		{3, 1, AtRandom, Rolling{2.25, 1.875, 0, 1.125}},    // 0 1.5 1.5; 0.75 0 2.25; 1.875 1.125 0
		{3, 1, LeastConnections, Rolling{1.5, 1.5, 0, 1.5}}, // 0 1.5 1.5; 1.5 0 1.5; 1.5 1.5 0
		{4, 2, AtRandom, Rolling{2, 2, 0, 2}},               // 0 0 2 2; 2 2 0 0
		{4, 3, LeastConnections, Rolling{4, 4. / 3, 0, 3}},  // 0 0 0 4; 4/3 4/3 4/3 0
		{5, 4, LeastConnections, Rolling{5, 1.25, 0, 4}},    // 0 0 0 0 5; 5/4 each and 0
		{10, 1, LeastConnections, Rolling{10. / 9, 10. / 9, 0, 10. / 9}},
	} {
		got := RollingRestart(tt.nodes, tt.together, tt.by)
		if !near(got.Peak, tt.want.Peak, 1e-9) || !near(got.Fullest, tt.want.Fullest, 1e-9) || got.Emptiest != tt.want.Emptiest || !near(got.Rush, tt.want.Rush, 1e-9) {
			t.Errorf("%d nodes, %d at a time, %v: %+v, want %+v", tt.nodes, tt.together, tt.by, got, tt.want)
		}
	}
}

// Ensure that of many nodes, balanced at random, the last has e times its share
// before its turn comes, and the first e - 1 times afterwards.
func TestRollingRestartOfMany(t *testing.T) {
	if got := RollingRestart(1000, 1, AtRandom); !near(got.Peak, math.E, 0.2) || !near(got.Fullest, math.E-1, 0.2) {
		t.Errorf("%+v, want a peak of %.3f, and %.3f at the end", got, math.E, math.E-1)
	}
}

// Ensure that a crowd is spread like one that comes in small parts, each of which
// goes to a node with the least.
func TestLeastConnectionsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 8).Draw(t, "loads")
		crowd := rapid.IntRange(1, 300).Draw(t, "crowd")
		loads := make([]float64, len(before))
		var pointers []*float64
		for i, n := range before {
			loads[i] = float64(n)
			pointers = append(pointers, &loads[i])
		}
		most := spread(float64(crowd), pointers, LeastConnections)
		naive := slices.Clone(before)
		for range crowd {
			naive[slices.Index(naive, slices.Min(naive))]++
		}
		naiveMost := 0
		for i := range naive {
			naiveMost = max(naiveMost, naive[i]-before[i])
			if diff := loads[i] - float64(naive[i]); diff > 1 || diff < -1 {
				t.Fatalf("%v and %d more: %v, want %v give or take one", before, crowd, loads, naive)
			}
		}
		if diff := most - float64(naiveMost); diff > 1 || diff < -1 {
			t.Fatalf("%v and %d more: at most %v come to a node, want %d give or take one", before, crowd, most, naiveMost)
		}
	})
}
