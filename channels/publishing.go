package channels

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// TimesBuckets is the number of buckets of Times.
const TimesBuckets = 18

// Times is a distribution of durations.
type Times struct {
	Counts [TimesBuckets]uint64
	Sum    time.Duration
}

// TimesBound returns the duration that ends a bucket, and is not in it: powers of two,
// from 128 µs to 8 s. The last bucket has no end.
func TimesBound(bucket int) time.Duration { return 128 * time.Microsecond << bucket }

// publishing counts the publishes at this node. Safe for concurrent use.
type publishing struct {
	done, failed atomic.Uint64
	counts       [TimesBuckets]atomic.Uint64
	sum          atomic.Int64
}

// took notes how long an exchange with the engine has taken.
func (p *publishing) took(d time.Duration) {
	bucket := bits.Len64(uint64(d / TimesBound(0)))
	p.counts[min(bucket, TimesBuckets-1)].Add(1)
	p.sum.Add(int64(d))
}

// note counts the result of an event that was handed to the backplane.
func (p *publishing) note(err error) {
	if err == nil {
		p.done.Add(1)
	} else {
		p.failed.Add(1)
	}
}

// PublishingFigures are those of the publishes at this node.
type PublishingFigures struct {
	Published uint64 // events
	Failed    uint64 // events that the backplane did not take
	// Times are those of the exchanges with the engine, one for an event or for a
	// pipeline of them; none without a backplane.
	Times Times
}

// Publishing returns the present figures. Safe for concurrent use.
func (p Ports) Publishing() PublishingFigures {
	c := &p.Broker.publishing
	f := PublishingFigures{Published: c.done.Load(), Failed: c.failed.Load(), Times: Times{Sum: time.Duration(c.sum.Load())}}
	for i := range c.counts {
		f.Times.Counts[i] = c.counts[i].Load()
	}
	return f
}
