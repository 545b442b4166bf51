package storm

import (
	"math/rand/v2"
	"time"
)

// The delays that millrace tells clients which it does not let in, see server/answer.go.
const (
	turnAwayDelay = 5 * time.Second
	longestDelay  = time.Minute
)

// Door decides who gets into a node, by its accept rate: a token bucket that is
// as large as a period's worth, and a book of the clients that found it empty. It does
// what internal/limits/bucket.go does, for one thread.
type Door struct {
	token  time.Duration // in which a token flows in; 0 where there is no limit
	whole  time.Duration // in which an empty bucket fills
	full   time.Duration // when the bucket is full
	booked time.Duration // the latest time at which somebody is to come back
}

// NewDoor returns the door of a node with an accept rate.
func NewDoor(r Rate) Door {
	if r.Events == 0 {
		return Door{}
	}
	token := r.Period / time.Duration(r.Events)
	return Door{token: token, whole: token * time.Duration(r.Events)}
}

// Ask lets in a client that asks for a stream, or returns how long it is told to
// wait. Where more than a minute is booked, that is drawn.
func (d *Door) Ask(now time.Duration, r *rand.Rand) (wait time.Duration, in bool) {
	if d.token == 0 {
		return 0, true
	}
	if after := max(d.full, now) + d.token; after-now <= d.whole {
		d.full = after
		return 0, true
	}
	if at := max(d.booked, now+turnAwayDelay) + d.token; at-now <= longestDelay {
		d.booked = at
		return at - now, false
	}
	return turnAwayDelay + time.Duration(r.Int64N(int64(longestDelay-turnAwayDelay))), false
}

// ReturnDelay is the span of which a node that is drained draws the time that it
// tells a client to wait, see server/drain.go.
func ReturnDelay(drain time.Duration) (shortest, longest time.Duration) {
	shortest = max(drain/30, time.Millisecond)
	return shortest, max(drain/3, shortest)
}
