package server

import "sync"

// posted is a list that any goroutine adds to, and that its loop takes. The zero value is
// empty.
type posted[T any] struct {
	mu   sync.Mutex
	list []T
}

// add appends v, and tells whether it is the first, of which the loop has to be told. Safe
// for concurrent use.
func (p *posted[T]) add(v T) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, v)
	return len(p.list) == 1
}

// take returns what has been added, and has empty back the next list; nil if there is
// nothing.
func (p *posted[T]) take(empty []T) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return nil
	}
	list := p.list
	p.list = empty
	return list
}
