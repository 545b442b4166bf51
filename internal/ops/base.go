package ops

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/handover"
)

// base is what the processes before this one have counted. Every metric of millrace that only
// grows goes on from there, so that it never falls over an upgrade.
type base struct {
	counters map[string]handover.Counter // by keyOf
	times    map[string]handover.Times   // by name
}

// bases has the base; empty for a process that has taken over from none.
type bases struct{ atomic.Pointer[base] }

// named are the metrics of millrace by their descriptions.
var named = make(map[*prometheus.Desc]string)

// keyOf names one series.
func keyOf(name string, labels []string) string {
	return name + "\x00" + strings.Join(labels, "\x00")
}

// counter returns what there was of a series.
func (b *bases) counter(name string, labels []string) float64 {
	if b := b.Load(); b != nil {
		return b.counters[keyOf(name, labels)].Value
	}
	return 0
}

// add adds what there was to the counts of a histogram, if that has the same buckets, and
// returns what there was to its sum.
func (b *bases) add(name string, counts []uint64) (sum int64) {
	base := b.Load()
	if base == nil || len(base.times[name].Counts) != len(counts) {
		return 0
	}
	for i, n := range base.times[name].Counts {
		counts[i] += n
	}
	return base.times[name].Sum
}

// relayed are the metrics that the broker of a process that takes over counts from the begin
// of the upgrade on, as the one before did meanwhile.
var relayed = []*prometheus.Desc{messages, gaps, undecoded, eventsPublished}

// outside are the metrics that do not begin anew with a process.
var outside = []*prometheus.Desc{listenOverflows, listenDrops, upgrades}

// Counters returns all metrics of millrace that only grow, as they are now, for a process that
// takes over.
func (s *Server) Counters() (counters []handover.Counter, times []handover.Times) {
	k := keep{server: s}
	(&collector{s}).collect(&k)
	k.rest()
	return k.counters, k.times
}

// GoOnFrom has the metrics go on from those of the process before. The last call counts.
func (s *Server) GoOnFrom(counters []handover.Counter, times []handover.Times) {
	s.base.Store(nil)
	own, _ := s.Counters()
	b := base{make(map[string]handover.Counter), make(map[string]handover.Times)}
	for _, c := range counters {
		b.counters[keyOf(c.Name, c.Labels)] = c
	}
	for _, t := range times {
		b.times[t.Name] = t
	}
	for _, c := range own {
		if !slices.ContainsFunc(relayed, func(d *prometheus.Desc) bool { return named[d] == c.Name }) {
			continue
		}
		if before, ok := b.counters[keyOf(c.Name, c.Labels)]; ok {
			before.Value = max(before.Value-c.Value, 0)
			b.counters[keyOf(c.Name, c.Labels)] = before
		}
	}
	s.base.Store(&b)
}

// sink takes the figures that a collector reads.
type sink interface {
	gauge(d *prometheus.Desc, v float64, labels ...string)
	counter(d *prometheus.Desc, v float64, labels ...string)
	// histogram takes the durations in each bucket, and the bounds of the buckets that are
	// shown; sum is in nanoseconds.
	histogram(d *prometheus.Desc, counts []uint64, bounds map[int]float64, sum int64)
}

// show hands figures to Prometheus' library, on top of those of the processes before.
type show struct {
	*bases
	ch    chan<- prometheus.Metric
	shown series
}

func (s *show) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s *show) counter(d *prometheus.Desc, v float64, labels ...string) {
	s.shown.note(named[d], labels)
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v+s.bases.counter(named[d], labels), labels...)
}

func (s *show) histogram(d *prometheus.Desc, counts []uint64, bounds map[int]float64, sum int64) {
	counts = slices.Clone(counts)
	sum += s.add(named[d], counts)
	buckets, below := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, n := range counts {
		below += n
		if bound, ok := bounds[i]; ok {
			buckets[bound] = below
		}
	}
	s.ch <- prometheus.MustNewConstHistogram(d, below, float64(sum)/1e9, buckets)
}

// rest shows what only the processes before have counted.
func (s *show) rest() {
	for d, c := range s.without(s.shown) {
		if m, err := prometheus.NewConstMetric(d, prometheus.CounterValue, c.Value, c.Labels...); err == nil { // else it has other labels now
			s.ch <- m
		}
	}
}

// series are those of counters that there are.
type series map[string]bool

func (s *series) note(name string, labels []string) {
	if *s == nil {
		*s = make(series)
	}
	(*s)[keyOf(name, labels)] = true
}

// without yields the counters of the processes before that are not among some.
func (b *bases) without(there series) iter.Seq2[*prometheus.Desc, handover.Counter] {
	return func(yield func(*prometheus.Desc, handover.Counter) bool) {
		base := b.Load()
		if base == nil {
			return
		}
		for d, name := range named {
			for key, c := range base.counters {
				if c.Name == name && !there[key] && !yield(d, c) {
					return
				}
			}
		}
	}
}

// keep takes figures as they travel.
type keep struct {
	server   *Server
	counters []handover.Counter
	times    []handover.Times
	kept     series
}

func (k *keep) gauge(*prometheus.Desc, float64, ...string) {}

func (k *keep) counter(d *prometheus.Desc, v float64, labels ...string) {
	if slices.Contains(outside, d) {
		return
	}
	k.kept.note(named[d], labels)
	v += k.server.base.counter(named[d], labels)
	k.counters = append(k.counters, handover.Counter{Name: named[d], Labels: labels, Value: v})
}

func (k *keep) histogram(d *prometheus.Desc, counts []uint64, _ map[int]float64, sum int64) {
	counts = slices.Clone(counts)
	sum += k.server.base.add(named[d], counts)
	k.times = append(k.times, handover.Times{Name: named[d], Counts: counts, Sum: sum})
}

// rest keeps what only the processes before have counted.
func (k *keep) rest() {
	for _, c := range k.server.base.without(k.kept) {
		k.counters = append(k.counters, c)
	}
}
