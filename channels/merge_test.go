package channels

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Ensure that runs are merged as if all were sorted.
func TestMergeAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs := make([][]*Message, rapid.IntRange(0, 100).Draw(t, "runs"))
		var want []*Message
		for seq := range uint64(rapid.IntRange(0, 300).Draw(t, "messages")) {
			if len(runs) > 0 {
				i := rapid.IntRange(0, len(runs)-1).Draw(t, "run")
				m := &Message{Seq: seq}
				runs[i] = append(runs[i], m)
				want = append(want, m)
			}
		}
		slices.SortFunc(want, func(a, b *Message) int { return cmp.Compare(a.Seq, b.Seq) })
		if got := Merge(nil, runs...); !slices.Equal(got, want) {
			t.Fatalf("merged %v, want %v", seqs(got), seqs(want))
		}
	})
}

// BenchmarkMerge is 4,000 messages of some runs.
func BenchmarkMerge(b *testing.B) {
	for _, n := range []int{2, 8, 64} {
		b.Run(fmt.Sprintf("runs=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			runs := make([][]*Message, n)
			for seq := range uint64(4000) {
				i := seq * 7919 % uint64(n)
				runs[i] = append(runs[i], &Message{Seq: seq})
			}
			var dst []*Message
			for b.Loop() {
				dst = Merge(dst[:0], runs...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4000, "ns/message")
		})
	}
}
