package follow

// queue is a list of channels, each of which is in one queue at most, so that it can
// leave from the middle at once: nothing stays of a channel that has left.
type queue struct{ first, last *entry }

// push puts e at the end, out of where it was.
func (q *queue) push(e *entry) {
	e.leave()
	e.in, e.prev = q, q.last
	if q.last == nil {
		q.first = e
	} else {
		q.last.next = e
	}
	q.last = e
}

// leave takes e out of its queue, if it is in one.
func (e *entry) leave() {
	if e.in == nil {
		return
	}
	if e.prev == nil {
		e.in.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		e.in.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.in, e.prev, e.next = nil, nil, nil
}
