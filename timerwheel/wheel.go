package timerwheel

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// levels of 4096 slots number 2^48 ticks: every time.Duration in ticks of MinTick.
const levels = 4

// MinTick is the shortest tick a wheel can have.
const MinTick = 100 * time.Microsecond

// A Table finds the owner's nodes. While index i is scheduled, Node(i) must
// return the same node. Indices are not negative.
type Table interface {
	Node(i int32) *Node
}

// A Node is the wheel's part of what the owner keeps for an index: 12 bytes
// without pointers. The zero value is not scheduled. While it is scheduled the
// owner must not change or copy it; after Cancel or expiry it is zero again.
type Node struct {
	place   place  // where the index is stored; 0 if not scheduled
	dueLow  uint32 // the tick to expire at, in 48 bits
	dueHigh uint16
	bucket  uint16 // level*slots + slot
}

func (n *Node) due() int64 { return int64(n.dueHigh)<<32 | int64(n.dueLow) }

// A Wheel holds at most one timer for each index of its table. It is loop-owned:
// its methods must not run concurrently. Times are durations since an origin of
// the owner's choice that never moves.
type Wheel[T Table] struct {
	table T
	tick  time.Duration
	now   int64 // in ticks: the latest time given to Advance, rounded down
	pos   int64 // in ticks, <= now: the work of all earlier ticks is done
	len   int

	levels  [levels]level
	pool    pool
	touched place // keeps the loads of touch from being optimized away
}

// New returns an empty wheel over table, at the time now. It panics if tick is
// shorter than MinTick or now is negative.
func New[T Table](table T, tick, now time.Duration) *Wheel[T] {
	if tick < MinTick {
		panic(fmt.Sprintf("timerwheel: tick is %v, want at least %v", tick, MinTick))
	}
	if now < 0 {
		panic(fmt.Sprintf("timerwheel: now is %v, want 0 or later", now))
	}
	start := int64(now / tick)
	return &Wheel[T]{table: table, tick: tick, now: start, pos: start}
}

// Schedule sets the timer of index i to at, rounded up to a tick, whether it was
// set before or not. If Advance has already been given at or a later time, the
// timer expires with the next tick instead. So a timer that expire schedules
// never expires within the same call of Advance.
func (w *Wheel[T]) Schedule(i int32, at time.Duration) {
	n := w.table.Node(i)
	if n.place != 0 {
		w.remove(i, n)
	} else {
		w.len++
	}
	due := int64(at / w.tick)
	if at%w.tick > 0 {
		due++
	}
	w.insert(i, n, max(due, w.now+1))
}

// Cancel unsets the timer of index i, if it is set.
func (w *Wheel[T]) Cancel(i int32) {
	if n := w.table.Node(i); n.place != 0 {
		w.remove(i, n)
		*n = Node{}
		w.len--
	}
}

// Scheduled reports whether the timer of index i is set.
func (w *Wheel[T]) Scheduled(i int32) bool { return w.table.Node(i).place != 0 }

// Due returns when the timer of index i expires, at a tick, and whether it is set.
func (w *Wheel[T]) Due(i int32) (at time.Duration, ok bool) {
	n := w.table.Node(i)
	return time.Duration(min(n.due(), math.MaxInt64/int64(w.tick))) * w.tick, n.place != 0
}

// Len returns the number of timers set.
func (w *Wheel[T]) Len() int { return w.len }

// Advance moves the wheel on to now and calls expire for every timer due by
// then, tick by tick, in no particular order within a tick. Each expiry and each
// move of a timer to a lower level takes one of budget. When that is used up and
// more is due, Advance returns true, and should be called again with the same now
// or a later one. A now before that of an earlier call counts as equal to it.
//
// An index is no longer scheduled when expire is called for it. Expire may call
// all other methods, for any index.
func (w *Wheel[T]) Advance(now time.Duration, budget int, expire func(i int32)) (more bool) {
	w.now = max(w.now, int64(now/w.tick))
	for w.len > 0 {
		level, start := w.earliest()
		if start > w.now {
			break
		}
		w.pos = start
		if budget = w.drain(level, budget, expire); budget < 0 {
			return true
		}
	}
	w.pos = w.now
	return false
}

// Next returns when Advance next has work to do: at the earliest timer or before
// it, when timers are to move to a lower level. It returns false if no timer is set.
func (w *Wheel[T]) Next() (at time.Duration, ok bool) {
	if w.len == 0 {
		return 0, false
	}
	_, start := w.earliest()
	if start > math.MaxInt64/int64(w.tick) { // rounded up beyond the last duration
		return math.MaxInt64, true
	}
	return time.Duration(start) * w.tick, true
}

// earliest returns the bucket that has work to do first, by its level and the
// tick at which its span starts. There must be a timer set.
//
// A bucket of level l spans 4096^l ticks and holds only timers of one span, whose
// start is at pos or later. So the slots of a level, read in a circle from the
// first span to start at pos or later, are in the order of time.
func (w *Wheel[T]) earliest() (level int, start int64) {
	start = math.MaxInt64
	for i := range w.levels {
		l := &w.levels[i]
		if l.summary == 0 {
			continue
		}
		shift := i * slotBits
		first := (w.pos + 1<<shift - 1) >> shift
		if s := (first + int64(l.ahead(int(first%slots)))) << shift; s < start {
			level, start = i, s
		}
	}
	return level, start
}

// drain empties the bucket of level whose span starts at pos: timers of level 0
// expire, others move to lower levels. It returns what is left of budget, or -1
// if that did not suffice.
func (w *Wheel[T]) drain(level, budget int, expire func(i int32)) (left int) {
	bucket := bucketAt(level, w.pos)
	top := &w.levels[level].top[bucket%slots]
	for touched := false; *top != 0; touched = true {
		if budget <= 0 {
			return -1
		}
		budget--
		if !touched || *top%blockStep == blockLen-1 {
			w.touch(*top)
		}
		i := w.pop(bucket)
		n := w.table.Node(i)
		if level > 0 {
			w.insert(i, n, n.due())
			continue
		}
		*n = Node{}
		w.len--
		expire(i)
	}
	return budget
}

// touch loads the nodes of a slot's topmost block, and the block below it. Each
// is likely to be a cache miss: here they overlap, where drain would wait for them
// one after the other.
func (w *Wheel[T]) touch(top place) {
	b := w.pool.block(top)
	var sum place
	for _, i := range b.index[:top%blockStep+1] {
		sum += w.table.Node(i).place
	}
	if b.below != 0 {
		sum += w.pool.block(b.below).below
	}
	w.touched = sum
}

// insert stores i for due, which is not before pos. Its level is that of the
// highest digit, to the base of 4096, of the ticks ahead.
func (w *Wheel[T]) insert(i int32, n *Node, due int64) {
	level := (bits.Len64(uint64(due-w.pos)|1) - 1) / slotBits
	bucket := bucketAt(level, due)
	l, slot := &w.levels[level], bucket%slots
	if l.top[slot] == 0 {
		l.mark(slot)
	}
	l.top[slot] = w.pool.push(l.top[slot], i)
	*n = Node{place: l.top[slot], dueLow: uint32(due), dueHigh: uint16(due >> 32), bucket: uint16(bucket)}
}

// remove takes i out of its bucket and fills its place with the topmost index.
func (w *Wheel[T]) remove(i int32, n *Node) {
	if last := w.pop(int(n.bucket)); last != i {
		w.pool.set(n.place, last)
		w.table.Node(last).place = n.place
	}
}

// pop takes the topmost index out of bucket.
func (w *Wheel[T]) pop(bucket int) (i int32) {
	l, slot := &w.levels[bucket/slots], bucket%slots
	i, l.top[slot] = w.pool.pop(l.top[slot])
	if l.top[slot] == 0 {
		l.unmark(slot)
	}
	return i
}

// bucketAt returns the bucket of level whose span holds tick.
func bucketAt(level int, tick int64) int {
	return level*slots + int(tick>>(level*slotBits)%slots)
}
