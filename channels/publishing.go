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

// publishing counts what is published at this node. Safe for concurrent use.
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

// note notes what has become of an event that was handed to the backplane.
func (p *publishing) note(err error) {
	if err == nil {
		p.done.Add(1)
	} else {
		p.failed.Add(1)
	}
}

// PublishingFigures are those of what is published at this node.
type PublishingFigures struct {
	Published uint64 // events
	Failed    uint64 // events that the backplane did not take
	// Times are those of the exchanges with the engine, one for an event or for a
	// pipeline of them; none without a backplane.
	Times Times
}

// Publishing returns the present figures. Safe for concurrent use.
func (b *Broker) Publishing() PublishingFigures {
	p := &b.publishing
	f := PublishingFigures{Published: p.done.Load(), Failed: p.failed.Load(), Times: Times{Sum: time.Duration(p.sum.Load())}}
	for i := range p.counts {
		f.Times.Counts[i] = p.counts[i].Load()
	}
	return f
}

// publish hands an event that is accepted to the backplane.
func (b *Broker) publish(channel string, ev Event) (Receipt, error) {
	if !b.Linked() {
		r, err := b.backplane.Publish(channel, ev)
		b.publishing.note(err)
		return r, err
	}
	began := time.Now()
	r, err := b.backplane.Publish(channel, ev)
	b.publishing.took(time.Since(began))
	b.publishing.note(err)
	return r, err
}

// publishAll hands a pipeline of events that are accepted to the backplane.
func (b *Broker) publishAll(p Pipeline, batch []*Publication) {
	began := time.Now()
	p.PublishAll(batch)
	b.publishing.took(time.Since(began))
	for _, one := range batch {
		b.publishing.note(one.Err)
	}
}
