// Package limits decides which connections are let in, where it is not by their content: a
// [Rate] in a [Bucket] bounds those of all loops, [Addresses] those of each client address.
// A decision takes part of a microsecond and no allocation.
package limits

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrRate is wrapped by every refusal of a rate.
var ErrRate = errors.New("bad rate")

// Rate is a number of events in a period: so many at once, and as many in every
// period from then on, evenly. The zero Rate is no limit.
type Rate struct {
	Events int
	Period time.Duration
}

// Bounds of a Rate.
const (
	maxEvents = 1_000_000
	minPeriod = time.Second
	MaxPeriod = 24 * time.Hour
)

// Check reports why r is out of bounds.
func (r Rate) Check() error {
	if r == (Rate{}) || r.Events >= 1 && r.Events <= maxEvents && r.Period >= minPeriod && r.Period <= MaxPeriod {
		return nil
	}
	return fmt.Errorf("%w of %d in %v, want 1 to %d in %v to %v, or 0 for no limit",
		ErrRate, r.Events, r.Period, maxEvents, minPeriod, MaxPeriod)
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
		return Rate{}, fmt.Errorf("%w %q, want one such as 1000/s, 30/m or 100/10s", ErrRate, text)
	}
	if r.Events == 0 {
		r = Rate{}
	}
	return r, r.Check()
}

// String returns the form that ParseRate reads.
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
