package crowd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Faults of what is received.
var (
	errLost     = errors.New("events lost")
	errRepeated = errors.New("event repeated")
	errDamaged  = errors.New("event damaged")
)

// order checks what one client receives: of each publisher that it hears, every event once, in
// its order, with every byte. Safe for concurrent use.
type order struct {
	mu    sync.Mutex
	hears []*publisher
	next  []uint64 // event that is due of each; 0 for unknown
}

// newOrder is of a client that is there before anything is published.
func newOrder(hears ...*publisher) *order {
	o := &order{hears: hears}
	for range hears {
		o.next = append(o.next, 1)
	}
	return o
}

// channels are those to ask for.
func (o *order) channels() (names []string) {
	for _, p := range o.hears {
		names = append(names, p.channel)
	}
	return names
}

// take takes in the data of an event, and returns when it was published.
func (o *order) take(data string) (at time.Time, err error) {
	channel, rest, _ := strings.Cut(data, " ")
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return at, fmt.Errorf("%w: %.60q", errDamaged, data)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range o.hears {
		if p.channel != channel {
			continue
		}
		at, known := p.sent(n)
		if !known || data != p.payload(n) {
			return at, fmt.Errorf("%w: %.60q is not event %d of %s", errDamaged, data, n, channel)
		}
		if due := o.next[i]; due > 0 {
			if n < due {
				return at, fmt.Errorf("%w: %s %d where %d was due", errRepeated, channel, n, due)
			}
			for ; due < n; due++ {
				if !p.isUncertain(due) {
					return at, fmt.Errorf("%w: %s %d to %d", errLost, channel, due, n-1)
				}
			}
		}
		o.next[i] = n + 1
		return at, nil
	}
	return at, fmt.Errorf("%w: %.60q is of no channel that was asked for", errDamaged, data)
}

// anew has what was missed before pass: the client does not resume.
func (o *order) anew() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.next)
}

// await returns when everything that was published has been received.
func (o *order) await(deadline time.Time) error {
	for {
		missing := o.missing()
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s", errLost, missing)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// missing names what has not been received, "" for nothing.
func (o *order) missing() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range o.hears {
		last := p.last()
		for last > 0 && p.isUncertain(last) {
			last--
		}
		if last > 0 && o.next[i] <= last {
			return fmt.Sprintf("%s %d to %d", p.channel, o.next[i], last)
		}
	}
	return ""
}

// forget has nothing awaited any more: the client is gone.
func (o *order) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hears, o.next = nil, nil
}
