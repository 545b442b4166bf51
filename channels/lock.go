package channels

import "sync"

// lock is the broker's mutex. Loops that were posted to while it was held are woken
// when it has been given up: a wake is a system call, and there may be one for every
// loop.
type lock struct {
	sync.Mutex
	rouse   *[]*Inbox // to be woken, nil for none. Guarded by the mutex
	observe func()    // if set, is called at the end of every hold: for tests
}

// roused lends slices to lock.rouse.
var roused = sync.Pool{New: func() any { return new([]*Inbox) }}

// wakeLater has the owner of in woken by Unlock. Called with the lock held.
func (l *lock) wakeLater(in *Inbox) {
	if l.rouse == nil {
		l.rouse = roused.Get().(*[]*Inbox)
	}
	*l.rouse = append(*l.rouse, in)
}

// Unlock gives up the lock, then wakes.
func (l *lock) Unlock() {
	rouse := l.rouse
	l.rouse = nil
	if l.observe != nil {
		l.observe()
	}
	l.Mutex.Unlock()
	if rouse == nil {
		return
	}
	for _, in := range *rouse {
		in.wake()
	}
	clear(*rouse)
	*rouse = (*rouse)[:0]
	roused.Put(rouse)
}
