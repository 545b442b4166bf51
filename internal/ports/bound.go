package ports

import "sync/atomic"

// Bound counts things of which there may be only so many at a time, such as answers that
// are Patient. Safe for concurrent use.
type Bound struct {
	most, open atomic.Int64
}

// SetMost sets how many there may be.
func (b *Bound) SetMost(n int) { b.most.Store(int64(n)) }

// Most returns how many there may be.
func (b *Bound) Most() int { return int(b.most.Load()) }

// Open returns how many there are.
func (b *Bound) Open() int { return int(b.open.Load()) }

// Begin tells whether there may be one more, whose end End has to be told.
func (b *Bound) Begin() bool {
	if b.open.Add(1) > b.most.Load() {
		b.open.Add(-1)
		return false
	}
	return true
}

// End tells that one has ended.
func (b *Bound) End() { b.open.Add(-1) }
