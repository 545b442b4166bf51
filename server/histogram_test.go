package server

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Ensure that every duration lies within its bucket's bounds.
func TestHistogramBuckets(t *testing.T) {
	check := func(d time.Duration) {
		i := bucketOf(d)
		if i > 0 && d < HistogramBound(i-1) || i < HistogramBuckets-1 && d >= HistogramBound(i) {
			t.Errorf("%v is in bucket %d, which ends at %v", d, i, HistogramBound(i))
		}
	}
	for i := range HistogramBuckets {
		check(HistogramBound(i) - 1)
		check(HistogramBound(i))
	}
	for _, d := range []time.Duration{-1, 0, 1, 999, time.Hour, 1<<63 - 1} {
		check(d)
	}
	if last := HistogramBound(HistogramBuckets - 2); last < 10*time.Second {
		t.Errorf("the last bucket begins at %v already", last)
	}
}

// Ensure that quantiles are those of a sorted list, as closely as a bucket is
// narrow.
func TestHistogramQuantile(t *testing.T) {
	var h histogram
	var none, before, all Histogram
	if q := none.Quantile(0.5); q != 0 {
		t.Errorf("median of nothing: %v", q)
	}
	h.record(time.Hour) // before what is looked at
	h.addTo(&before)
	random := rand.New(rand.NewPCG(1, 2))
	var list []time.Duration
	sum := time.Duration(0)
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		list = append(list, d)
		sum += d
		h.record(d)
	}
	slices.Sort(list)
	h.addTo(&all)
	recent := all.Since(&before)
	if recent.Count() != uint64(len(list)) || recent.Sum != sum {
		t.Errorf("%d durations, %v together; want %d, %v", recent.Count(), recent.Sum, len(list), sum)
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		got, want := recent.Quantile(q), list[int(q*float64(len(list)-1))]
		if ratio := float64(got) / float64(want); ratio < 0.75 || ratio > 1.33 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}
