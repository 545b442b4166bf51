package timerwheel

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

const (
	slotBits = 6
	slots    = 1 << slotBits // of a level: one word of occupancy bits
	levels   = 8             // 2^48 ticks, which is every time.Duration in ticks of MinTick
)

// MinTick is the shortest tick. Ticks of it number every [time.Duration] with
// fewer than 48 bits.
const MinTick = 100 * time.Microsecond

// A Table finds the owner's nodes. While index i is scheduled, Node(i) must
// return the same node. Indices are not negative.
type Table interface {
	Node(i int32) *Node
}

// A Node is the wheel's part of what the owner keeps for an index: 12 bytes
// without pointers. The zero value is not scheduled. Of a scheduled node the
// owner must change nothing; after Cancel or expiry it is zero again.
type Node struct {
	place   place  // where a bucket holds the index; 0 when not scheduled
	dueLow  uint32 // the tick to expire at, in 48 bits
	dueHigh uint16
	bucket  uint16 // level*slots + slot
}

func (n *Node) due() int64 { return int64(n.dueHigh)<<32 | int64(n.dueLow) }

// A Wheel holds at most one timer for each index of its table. It is
// loop-owned: nothing in it may be called concurrently. Times are durations
// since an origin of the owner's choice that never moves.
type Wheel[T Table] struct {
	table T
	tick  time.Duration
	now   int64 // in ticks: the latest time given to Advance, rounded down
	pos   int64 // in ticks, <= now: all work of earlier ticks is done
	len   int

	// occupied has bit s of word l set while bucket l*slots+s is not empty.
	occupied [levels]uint64
	buckets  [levels * slots]stack
	pool     pool

	touched place // keeps touch's loads from being optimized away
}

// New returns an empty wheel over table, at the time now. It panics if tick is
// shorter than MinTick or now is negative.
func New[T Table](table T, tick, now time.Duration) *Wheel[T] {
	if tick < MinTick {
		panic(fmt.Sprintf("timerwheel: tick %v, want at least %v", tick, MinTick))
	}
	if now < 0 {
		panic(fmt.Sprintf("timerwheel: now %v, want 0 or later", now))
	}
	start := int64(now / tick)
	return &Wheel[T]{table: table, tick: tick, now: start, pos: start}
}

// Schedule sets the timer of index i to at, rounded up to a tick, whether it was
// set before or not. If the wheel has been advanced to at or beyond, the timer
// expires with the next tick instead; so what expire schedules never expires in
// the same call of Advance.
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

// Cancel unsets the timer of index i. It does nothing if the timer is not set.
func (w *Wheel[T]) Cancel(i int32) {
	if n := w.table.Node(i); n.place != 0 {
		w.remove(i, n)
		*n = Node{}
		w.len--
	}
}

// Scheduled reports whether the timer of index i is set.
func (w *Wheel[T]) Scheduled(i int32) bool {
	return w.table.Node(i).place != 0
}

// Len returns the number of timers set.
func (w *Wheel[T]) Len() int { return w.len }

// Advance moves the wheel on to now and calls expire for every timer due by
// then, tick by tick, in no particular order within a tick. It stops when budget
// is used up, of which each expiry and each move to a lower level takes one, and
// then reports true: there is more to do, and the caller should call again, with
// the same now or a later one. A now earlier than that of the call before counts
// as equal to it.
//
// An index is no longer scheduled when expire is called for it. Expire may call
// every other method, for any index.
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

// Next returns when Advance next has work to do, which is never later than the
// earliest timer but may be earlier, to move timers to a lower level. It returns
// false when no timer is set.
func (w *Wheel[T]) Next() (at time.Duration, ok bool) {
	if w.len == 0 {
		return 0, false
	}
	_, start := w.earliest()
	if start > math.MaxInt64/int64(w.tick) { // a deadline in the last tick of all, rounded up
		return math.MaxInt64, true
	}
	return time.Duration(start) * w.tick, true
}

// earliest returns the bucket with work to do first: its level, and the tick at
// which its span begins, which is not before pos. There must be a timer set.
//
// A bucket of level l spans 64^l ticks, and insert puts nothing into the bucket
// whose span has begun. So the slots of a level, read in a circle from the first
// whose span begins at pos or later, lie in the order of time.
func (w *Wheel[T]) earliest() (level int, start int64) {
	start = math.MaxInt64
	for l, occupied := range w.occupied {
		if occupied == 0 {
			continue
		}
		shift := l * slotBits
		first := (w.pos + 1<<shift - 1) >> shift
		skip := bits.TrailingZeros64(bits.RotateLeft64(occupied, -int(first%slots)))
		if s := (first + int64(skip)) << shift; s <= start {
			level, start = l, s
		}
	}
	return level, start
}

// drain empties the bucket of level whose span begins at pos: timers of level 0
// expire, others move to lower levels. It returns what it leaves of budget, or
// -1 if there was more to do than that.
func (w *Wheel[T]) drain(level, budget int, expire func(i int32)) (left int) {
	b := bucketAt(level, w.pos)
	s := &w.buckets[b]
	for fresh := true; s.top != 0; {
		if budget <= 0 {
			return -1
		}
		if fresh || s.fill == blockLen {
			w.touch(s)
			fresh = false
		}
		budget--
		i := w.pop(b)
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

// touch loads the nodes of the topmost block of s. Scattered over the table as
// they are, each costs a cache miss; here the misses overlap, where in drain each
// would wait for the work on the one before.
func (w *Wheel[T]) touch(s *stack) {
	var sum place
	for _, i := range w.pool.block(s.top).index[:s.fill] {
		sum += w.table.Node(i).place
	}
	w.touched = sum
}

// insert puts i into the bucket for due, which is not before pos. The level is
// that of the highest base-64 digit of the ticks ahead.
func (w *Wheel[T]) insert(i int32, n *Node, due int64) {
	level := (bits.Len64(uint64(due-w.pos)|1) - 1) / slotBits
	b := bucketAt(level, due)
	w.occupied[level] |= 1 << (b % slots)
	n.place = w.pool.push(&w.buckets[b], i)
	n.dueLow, n.dueHigh, n.bucket = uint32(due), uint16(due>>32), uint16(b)
}

// remove takes i out of its bucket, and puts the topmost index of the bucket
// into its place.
func (w *Wheel[T]) remove(i int32, n *Node) {
	if last := w.pop(int(n.bucket)); last != i {
		w.table.Node(last).place = n.place
		w.pool.set(n.place, last)
	}
}

// pop takes the topmost index out of bucket b.
func (w *Wheel[T]) pop(b int) int32 {
	i := w.pool.pop(&w.buckets[b])
	if w.buckets[b].top == 0 {
		w.occupied[b/slots] &^= 1 << (b % slots)
	}
	return i
}

// bucketAt returns the bucket of level whose span holds tick.
func bucketAt(level int, tick int64) int {
	return level*slots + int(tick>>(level*slotBits)%slots)
}
