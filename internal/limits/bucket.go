package limits

import (
	"sync/atomic"
	"time"
)

// bucket is the size of a token bucket: as many tokens as a Rate has events. The rest
// in one is a single number, the time at which it will be full again.
type bucket struct {
	token time.Duration // in which one flows in; 0 for a bucket without bounds
	whole time.Duration // in which an empty one fills
}

func newBucket(r Rate) bucket {
	if r.Events == 0 {
		return bucket{}
	}
	token := r.Period / time.Duration(r.Events)
	return bucket{token, token * time.Duration(r.Events)}
}

// take takes a token out of a bucket that is full at a time, and returns when it
// is full then. It returns false when there is none.
func (b bucket) take(full, now time.Duration) (_ time.Duration, ok bool) {
	after := max(full, now) + b.token
	if after-now > b.whole {
		return full, false
	}
	return after, true
}

// Bucket is one token bucket for all loops. Safe for concurrent use.
type Bucket struct {
	bucket
	full   atomic.Int64
	booked atomic.Int64 // the latest time at which somebody is to come back
}

// Set gives the bucket its size, before anything is taken.
func (b *Bucket) Set(r Rate) { b.bucket = newBucket(r) }

// Take takes a token at a time, if there is one. An empty Bucket is without bounds.
func (b *Bucket) Take(now time.Duration) bool {
	if b.token == 0 {
		return true
	}
	for {
		full := b.full.Load()
		after, ok := b.bucket.take(time.Duration(full), now)
		if !ok || b.full.CompareAndSwap(full, int64(after)) {
			return ok
		}
	}
}

// Book returns how long a client that found the bucket empty is to wait: soonest at
// least, and so that no more come back in a period than tokens flow in. It
// returns false when everything before latest is booked.
func (b *Bucket) Book(now, soonest, latest time.Duration) (wait time.Duration, ok bool) {
	for {
		booked := b.booked.Load()
		at := max(time.Duration(booked), now+soonest) + b.token
		if at-now > latest {
			return 0, false
		}
		if b.booked.CompareAndSwap(booked, int64(at)) {
			return at - now, true
		}
	}
}
