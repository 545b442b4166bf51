package bench

import (
	"fmt"
	"time"
)

// Report has the events and ends that streams have seen.
type Report struct {
	Open     int           // streams open now
	Ended    int           // streams that have ended, by the server or for bytes that it sent
	Cut      int           // of Config.MayEnd: streams that have ended by the server, not among Ended
	Errors   []string      // why, the first few
	Began    time.Duration // when the first stream began to connect, and
	Answered time.Duration // when the last one had its response head; as Now tells the time
	Bytes    uint64
	Events   uint64
	Pings    uint64
	Arrivals []Arrival // by event, from Config.FirstEvent
	// PingTimes counts pings by arrival, in buckets of PingBucket, the first
	// of which begins at PingsSince.
	PingTimes  []int
	PingsSince time.Duration

	Replaced int        // streams, by Churn
	Connects *Histogram // from connect to the response head; to the millisecond
	Latency  *Histogram // from the moment of Expect to each arrival since
	PingsOff *Histogram // how far pings came from a whole number of periods after the one before
}

// Arrival is when an event came, as Now tells the time.
type Arrival struct {
	Streams     int // that have it
	First, Last time.Duration
}

const (
	// PingBucket is the resolution of Report.PingTimes.
	PingBucket = 250 * time.Millisecond
	// maxErrors bounds Report.Errors.
	maxErrors = 8
)

// String is the report in brief.
func (r Report) String() string {
	return fmt.Sprintf("%d streams open, %d ended %q, %d events, %d pings", r.Open, r.Ended, r.Errors, r.Events, r.Pings)
}

// add merges the report of another loop of the same Streams into r.
func (r *Report) add(o Report) {
	r.Replaced += o.Replaced
	r.Connects.Merge(o.Connects)
	r.Latency.Merge(o.Latency)
	r.PingsOff.Merge(o.PingsOff)
	r.Open += o.Open
	r.Ended += o.Ended
	r.Cut += o.Cut
	r.Errors = append(r.Errors, o.Errors[:min(len(o.Errors), maxErrors-len(r.Errors))]...)
	r.Began, r.Answered = min(r.Began, o.Began), max(r.Answered, o.Answered)
	r.Bytes += o.Bytes
	r.Events += o.Events
	r.Pings += o.Pings
	for len(r.Arrivals) < len(o.Arrivals) {
		r.Arrivals = append(r.Arrivals, Arrival{First: 1<<63 - 1})
	}
	for i, a := range o.Arrivals {
		sum := &r.Arrivals[i]
		sum.Streams += a.Streams
		sum.First, sum.Last = min(sum.First, a.First), max(sum.Last, a.Last)
	}
	r.PingsSince = o.PingsSince
	for len(r.PingTimes) < len(o.PingTimes) {
		r.PingTimes = append(r.PingTimes, 0)
	}
	for i, n := range o.PingTimes {
		r.PingTimes[i] += n
	}
}
