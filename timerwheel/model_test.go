package timerwheel

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var modelOps = flag.Int("model.ops", 1_500_000, "operations of TestAgainstModel")

// model is the naive twin of a Wheel: the tick each index is due at.
type model struct {
	due map[int32]int64
	now int64
}

func (m *model) schedule(i int32, at, tick time.Duration) {
	due := int64(at / tick)
	if at > time.Duration(due)*tick {
		due++
	}
	m.due[i] = max(due, m.now+1)
}

// earliest returns the first tick at which a timer is due.
func (m *model) earliest() (due int64, ok bool) {
	for _, d := range m.due {
		if !ok || d < due {
			due, ok = d, true
		}
	}
	return due, ok
}

// pair drives a wheel and its model side by side.
type pair struct {
	wheel *Wheel[*chunked]
	model model
	table *chunked
	tick  time.Duration
	clock time.Duration
	size  int32

	asked    map[int32]time.Duration // the deadline each index was given
	nested   func(i int32)           // what expire does besides checking
	inCall   map[int32]bool          // scheduled from expire in the running Advance
	running  bool
	last     int64 // the tick of the expiry before
	expiries int
	fault    error
}

func newPair(size int32, tick, now time.Duration) *pair {
	table := newChunked(int(size))
	return &pair{
		wheel: New(table, tick, now), model: model{due: map[int32]int64{}, now: int64(now / tick)},
		table: table, tick: tick, clock: now, size: size,
		asked: map[int32]time.Duration{}, inCall: map[int32]bool{}, nested: func(int32) {},
	}
}

func (p *pair) schedule(i int32, at time.Duration) {
	p.wheel.Schedule(i, at)
	p.model.schedule(i, at, p.tick)
	p.asked[i] = at
	if p.running {
		p.inCall[i] = true
	}
}

func (p *pair) cancel(i int32) {
	p.wheel.Cancel(i)
	delete(p.model.due, i)
}

func (p *pair) expire(i int32) {
	p.expiries++
	due, set := p.model.due[i]
	switch {
	case !set:
		p.failf("index %d expired, and was not set", i)
	case p.asked[i] > p.clock:
		p.failf("index %d expired early: at %v, asked for %v", i, p.clock, p.asked[i])
	case due > p.model.now:
		p.failf("index %d expired in tick %d, due in %d", i, p.model.now, due)
	case due < p.last:
		p.failf("index %d due in tick %d expired after one due in %d", i, due, p.last)
	case p.inCall[i]:
		p.failf("index %d, scheduled from expire, expired in the same Advance", i)
	case p.wheel.Scheduled(i):
		p.failf("index %d is scheduled while it expires", i)
	}
	p.last = due
	delete(p.model.due, i)
	p.nested(i)
}

// advance moves the clock on by step and spends one budget.
func (p *pair) advance(step time.Duration, budget int) (more bool) {
	p.clock += step
	p.model.now = int64(p.clock / p.tick)
	p.running, p.last = true, 0
	clear(p.inCall)
	before := p.expiries
	more = p.wheel.Advance(p.clock, budget, p.expire)
	p.running = false
	if n := p.expiries - before; n > max(budget, 0) {
		p.failf("%d expiries for a budget of %d", n, budget)
	}
	if more {
		return true
	}
	// At most one tick late: what was due by now has gone.
	if due, ok := p.model.earliest(); ok && due <= p.model.now {
		p.failf("at %v (tick %d) a timer due in tick %d has not expired", p.clock, p.model.now, due)
	}
	if at, ok := p.wheel.Next(); ok && at <= p.clock {
		p.failf("at %v, with nothing more to do, Next() = %v", p.clock, at)
	}
	return false
}

func (p *pair) failf(format string, args ...any) {
	if p.fault == nil {
		p.fault = fmt.Errorf(format, args...)
	}
}

// check compares all that can be seen of the wheel with the model.
func (p *pair) check() error {
	if p.fault != nil {
		return p.fault
	}
	w := p.wheel
	if w.Len() != len(p.model.due) {
		return fmt.Errorf("Len() = %d, want %d", w.Len(), len(p.model.due))
	}
	for i := range p.size {
		if _, set := p.model.due[i]; w.Scheduled(i) != set {
			return fmt.Errorf("Scheduled(%d) = %t, want %t", i, w.Scheduled(i), set)
		}
	}
	at, ok := w.Next()
	due, set := p.model.earliest()
	if ok != set || ok && at > time.Duration(due)*p.tick {
		return fmt.Errorf("Next() = %v, %t, want at most tick %d, %t", at, ok, due, set)
	}
	return verify(w, p.model.due)
}

// verify rechecks the whole structure: every index in one place, the node and
// the block agreeing on it, in the bucket its deadline belongs to, under its bits,
// and every block of the pool in use or free, but not both.
func verify(w *Wheel[*chunked], want map[int32]int64) error {
	if w.pos > w.now {
		return fmt.Errorf("pos %d is after now %d", w.pos, w.now)
	}
	seen := map[int32]bool{}
	blocks := map[place]string{}
	claim := func(at place, owner string) error {
		if number := at / blockStep; blocks[number] != "" || number < 1 || int32(number) > w.pool.made {
			return fmt.Errorf("%s has block %d of %d, which %q has", owner, number, w.pool.made, blocks[number])
		}
		blocks[at/blockStep] = owner
		return nil
	}
	for l := range w.levels {
		level := &w.levels[l]
		for slot, top := range level.top {
			if marked := level.occupied[slot/64]>>(slot%64)&1 == 1; marked != (top != 0) {
				return fmt.Errorf("level %d slot %d: occupied bit %t, top %d", l, slot, marked, top)
			}
			if top == 0 {
				continue
			}
			name := fmt.Sprintf("level %d slot %d", l, slot)
			for at := top; at != 0; {
				if at == top || at%blockStep == blockLen-1 {
					if err := claim(at, name); err != nil {
						return err
					}
				}
				b := w.pool.block(at)
				i := b.index[at%blockStep]
				n := w.table.Node(i)
				due, set := want[i]
				span := int64(1) << (l * slotBits)
				switch {
				case seen[i]:
					return fmt.Errorf("%s: index %d is stored twice", name, i)
				case !set || n.due() != due:
					return fmt.Errorf("%s: index %d due in tick %d, want %d (set %t)", name, i, n.due(), due, set)
				case n.place != at || int(n.bucket) != l*slots+slot:
					return fmt.Errorf("%s: index %d at %d has node %+v", name, i, at, *n)
				case bucketAt(l, due) != l*slots+slot:
					return fmt.Errorf("%s: index %d due in tick %d is in the wrong bucket", name, i, due)
				case due&^(span-1) < w.pos:
					return fmt.Errorf("%s: the span of index %d began before pos %d", name, i, w.pos)
				case due-w.pos >= span*slots:
					return fmt.Errorf("%s: index %d is %d ticks ahead", name, i, due-w.pos)
				}
				seen[i] = true
				if at%blockStep != 0 {
					at--
				} else if at = b.below; at != 0 && at%blockStep != blockLen-1 {
					return fmt.Errorf("%s: a block below the topmost is not full", name)
				}
			}
		}
		for word, b := range level.occupied {
			if marked := level.summary>>word&1 == 1; marked != (b != 0) {
				return fmt.Errorf("level %d: summary bit %d is %t, word %x", l, word, marked, b)
			}
		}
	}
	for at := w.pool.free; at != 0; at = w.pool.block(at).below {
		if err := claim(at, "free list"); err != nil {
			return err
		}
	}
	if len(seen) != len(want) || len(blocks) != int(w.pool.made) {
		return fmt.Errorf("%d indices and %d blocks found, want %d and %d", len(seen), len(blocks), len(want), w.pool.made)
	}
	return nil
}

// span draws a duration of any magnitude from a nanosecond to limit.
func span(r *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(limit)>>r.IntN(50) | 1))
}

// Ensure that a wheel does what its model does, whatever the order of calls:
// never early, never more than a tick late.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	ops, expiries := 0, 0
	for round := 0; ops < *modelOps; round++ {
		size := int32(1 + r.IntN(64))
		ticks := []time.Duration{MinTick, tick, 7*time.Millisecond + 1, time.Hour}
		p := newPair(size, ticks[r.IntN(len(ticks))], span(r, 1<<50))
		// Most timers within a few thousand ticks, so that slots fill and levels meet.
		at := func() time.Duration {
			switch r.IntN(8) {
			case 0:
				return p.clock - span(r, p.clock+1)
			case 1:
				return p.clock + span(r, 1<<61)
			case 2:
				return p.clock + time.Duration(4096+r.IntN(3)-1)*p.tick
			}
			return p.clock + span(r, 10_000*p.tick)
		}
		p.nested = func(i int32) {
			for r.IntN(2) == 0 {
				ops++
				switch r.IntN(3) {
				case 0:
					p.schedule(i, at())
				case 1:
					p.schedule(r.Int32N(size), at())
				case 2:
					p.cancel(r.Int32N(size))
				}
			}
		}
		for step := range 3000 {
			ops++
			switch r.IntN(8) {
			case 0, 1, 2:
				p.schedule(r.Int32N(size), at())
			case 3:
				p.cancel(r.Int32N(size))
			case 4:
				p.advance(span(r, 10_000*p.tick), r.IntN(4))
			case 5:
				p.advance(span(r, 1<<50), r.IntN(100))
			default:
				p.advance(span(r, 100*p.tick), r.IntN(100))
			}
			if p.clock > 1<<61 {
				break
			}
			err := p.fault
			if err == nil && step%500 == 0 {
				err = p.check()
			}
			if err != nil {
				t.Fatalf("seed %d, round %d, step %d: %v", seed, round, step, err)
			}
		}
		if err := p.check(); err != nil {
			t.Fatalf("seed %d, at the end of round %d: %v", seed, round, err)
		}
		expiries += p.expiries
	}
	t.Logf("seed %d: %d operations, %d expiries", seed, ops, expiries)
}

// FuzzWheel drives wheel and model from bytes: an operation, an index, and two
// bytes for a duration, as mantissa and exponent.
func FuzzWheel(f *testing.F) {
	f.Add([]byte("\x00\x01\x05\x00\x02\x00\x09\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPair(16, tick, 0)
		next := func() (op byte, i int32, d time.Duration, ok bool) {
			if len(data) < 4 {
				return 0, 0, 0, false
			}
			op, i = data[0], int32(data[1]%16)
			d = time.Duration(data[2]) << (data[3] % 54) // to 145 years
			data = data[4:]
			return op, i, d, true
		}
		p.nested = func(i int32) {
			switch op, j, d, _ := next(); op % 4 {
			case 1:
				p.schedule(i, p.clock+d)
			case 2:
				p.schedule(j, d)
			case 3:
				p.cancel(j)
			}
		}
		for {
			op, i, d, ok := next()
			if !ok || p.clock+d > 1<<61 {
				break
			}
			switch op % 4 {
			case 0:
				p.schedule(i, p.clock+d)
			case 1:
				p.schedule(i, d)
			case 2:
				p.cancel(i)
			case 3:
				p.advance(d, int(op/4))
			}
			if err := p.check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
