package server

import "time"

// moment is a time of the loop in ticks, counted round: a slot keeps it in half
// the bytes of a time. 497 days look the same as none, so the reader has
// to know on which side of the present it lies.
type moment uint32

// momentOf returns the tick that t falls into.
func momentOf(t time.Duration) moment { return moment(t / tick) }

// age returns how long before now m was, at most 497 days: to the tick, and
// never too little.
func (m moment) age(now time.Duration) time.Duration {
	return time.Duration(momentOf(now)-m)*tick + now%tick
}

// within returns the time of m, which lies at most so far ahead of now; a time
// that would lie further ahead has passed.
func (m moment) within(ahead, now time.Duration) time.Duration {
	ticks := int64(m - momentOf(now))
	if ticks > int64(ahead/tick) {
		ticks -= 1 << 32
	}
	return (now/tick + time.Duration(ticks)) * tick
}
