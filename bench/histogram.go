package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations from a microsecond to some minutes, each to 1 %.
type Histogram struct{ h *hdrhistogram.Histogram }

const (
	histogramMost    = int64(10 * time.Minute / time.Microsecond)
	histogramFigures = 2
)

// NewHistogram returns an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(1, histogramMost, histogramFigures)}
}

// Record counts d; one that is out of range counts as the nearest that is not.
func (h *Histogram) Record(d time.Duration) {
	h.h.RecordValue(min(max(int64(d/time.Microsecond), 1), histogramMost))
}

// Reset forgets everything.
func (h *Histogram) Reset() { h.h.Reset() }

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram { return &Histogram{h.h.Clone()} }

// Merge adds the counts of o.
func (h *Histogram) Merge(o *Histogram) { h.h.Merge(o.h) }

// Count returns how many durations were counted.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Max returns the longest.
func (h *Histogram) Max() time.Duration { return time.Duration(h.h.Max()) * time.Microsecond }

// Percentile returns the duration that p percent do not exceed.
func (h *Histogram) Percentile(p float64) time.Duration {
	return time.Duration(h.h.ValueAtPercentile(p)) * time.Microsecond
}

// GobEncode is for net/rpc.
func (h *Histogram) GobEncode() ([]byte, error) {
	return h.h.EncodeV2()
}

// GobDecode is for net/rpc.
func (h *Histogram) GobDecode(p []byte) (err error) {
	h.h, err = hdrhistogram.Decode(p)
	return err
}
