package server

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Rate is a number of events in a period: so many at once, and as many in every
// period from then on, evenly. The zero Rate is no limit.
type Rate struct {
	Events int
	Period time.Duration
}

// Bounds of a Rate.
const (
	maxRateEvents = 1_000_000
	minRatePeriod = time.Second
	maxRatePeriod = 24 * time.Hour
)

func (r Rate) check() error {
	if r == (Rate{}) || r.Events >= 1 && r.Events <= maxRateEvents && r.Period >= minRatePeriod && r.Period <= maxRatePeriod {
		return nil
	}
	return fmt.Errorf("%w: rate of %d in %v, want 1 to %d in %v to %v, or 0 for no limit",
		ErrConfig, r.Events, r.Period, maxRateEvents, minRatePeriod, maxRatePeriod)
}

// ratePeriods are the periods that have a letter.
var ratePeriods = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// ParseRate reads "100" or "100/s", "30/m", "500/h", "100/10s", or "0".
func ParseRate(text string) (Rate, error) {
	events, period, has := strings.Cut(text, "/")
	r := Rate{Period: time.Second}
	var err error
	if has {
		var ok bool
		if r.Period, ok = ratePeriods[period]; !ok {
			r.Period, err = time.ParseDuration(period)
		}
	}
	if err == nil {
		r.Events, err = strconv.Atoi(events)
	}
	if err != nil {
		return Rate{}, fmt.Errorf("%w: rate %q, want one such as 1000/s, 30/m or 100/10s", ErrConfig, text)
	}
	if r.Events == 0 {
		r = Rate{}
	}
	return r, r.check()
}

// String is what ParseRate reads.
func (r Rate) String() string {
	if r.Events == 0 {
		return "0"
	}
	for letter, period := range ratePeriods {
		if r.Period == period {
			return fmt.Sprintf("%d/%s", r.Events, letter)
		}
	}
	return fmt.Sprintf("%d/%v", r.Events, r.Period)
}

// bucket is the size of a token bucket: as many tokens as a Rate has events. What
// is left in one is a single number, the time at which it will be full again.
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

// sharedBucket is one bucket for all loops. Safe for concurrent use.
type sharedBucket struct {
	bucket
	full   atomic.Int64
	booked atomic.Int64 // the latest time at which somebody is to come back
}

// take takes a token, if there is one.
func (b *sharedBucket) take(now time.Duration) bool {
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

// book returns how long one who found the bucket empty is to wait: soonest at
// least, and so that no more come back in a period than tokens flow in. It
// returns false when everything before latest is booked.
func (b *sharedBucket) book(now, soonest, latest time.Duration) (wait time.Duration, ok bool) {
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
