package server

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// HistogramBuckets is the number of buckets of a Histogram: four to every power
// of two microseconds, up to half a minute; the last takes longer times too.
const HistogramBuckets = 4 * 24

// Histogram is a distribution of durations. Its values can be added and
// subtracted bucket by bucket.
type Histogram struct {
	Counts [HistogramBuckets]uint64
	Sum    time.Duration
}

// HistogramBound returns the duration that ends a bucket, and is not in it. The
// last bucket has no end.
func HistogramBound(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket+1) * time.Microsecond
	}
	return time.Duration(bucket%4+5) << (bucket/4 - 1) * time.Microsecond
}

// bucketOf returns the bucket that d belongs to: the two bits after the highest
// tell the quarter.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 4 {
		return int(us)
	}
	shift := bits.Len64(us) - 3
	return min(4*shift+int(us>>shift), HistogramBuckets-1)
}

// Count returns the number of durations.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Since returns the times recorded since earlier, an older value of h.
func (h Histogram) Since(earlier *Histogram) Histogram {
	for i := range h.Counts {
		h.Counts[i] -= earlier.Counts[i]
	}
	h.Sum -= earlier.Sum
	return h
}

// Quantile returns the duration that the part q of all does not exceed,
// interpolated within a bucket; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := q * float64(h.Count())
	below := 0.0
	for i, c := range h.Counts {
		n := float64(c)
		if n == 0 || below+n < rank {
			below += n
			continue
		}
		low := time.Duration(0)
		if i > 0 {
			low = HistogramBound(i - 1)
		}
		return low + time.Duration((rank-below)/n*float64(HistogramBound(i)-low))
	}
	return 0
}

// histogram is a Histogram that one loop records in while others read it.
type histogram struct {
	counts [HistogramBuckets]atomic.Uint64
	sum    atomic.Int64
}

// record counts d. Loop-owned.
func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// addTo adds the recorded times to sum. Safe for concurrent use.
func (h *histogram) addTo(sum *Histogram) {
	for i := range h.counts {
		sum.Counts[i] += h.counts[i].Load()
	}
	sum.Sum += time.Duration(h.sum.Load())
}
