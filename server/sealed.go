package server

import (
	"container/heap"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// A record of which a socket took a part has to leave whole, or the client could open none
// behind it. Its rest is kept for the connection, which is behind: unlike a message, it is
// nobody else's.

// maxSealed bounds the rests of records of all loops together, in bytes of the memory that
// they take.
const maxSealed = 64 << 20

// sealedRest is the rest of a record. All of it takes memory until its last byte is out.
type sealedRest struct {
	record     []byte // from its first byte that the socket did not take at once
	out        int    // record[:out] has been taken
	content    int    // how much the whole record carries, in bytes
	deliveries int    // messages of which it carries the last byte
	fell       time.Duration
}

// rests are those of a loop.
type rests struct {
	of     peaked[streamID, *sealedRest] // by connection
	oldest oldestFirst                   // each of them, and some that are out by now
	since  atomic.Int64                  // when the first of oldest fell behind, math.MaxInt64 for none; reading: safe for concurrent use
}

func newRests() *rests {
	r := &rests{of: newPeaked[streamID, *sealedRest]()}
	r.since.Store(math.MaxInt64)
	return r
}

// hasRest tells whether the rest of a record has to leave before anything else.
func (l *loop) hasRest(c *conn) bool { return l.rests.of.m[c.id()] != nil }

// keepRest keeps the rest of a record of which the socket took a part, and which carries so
// many bytes: the connection is behind. One that has no stream has written next to nothing,
// which nobody reads.
func (l *loop) keepRest(c *conn, rest []byte, content int) result {
	if c.state != stateStream && c.state != stateHTTP2 {
		l.end(c, reasonSlow)
		return ended
	}
	if !c.flags.is(behind) {
		l.fallBehind(&c.stream, leftover{}, false)
	}
	r := &sealedRest{record: slices.Clone(rest), content: content, fell: l.readers.m[c.id()].fell}
	l.rests.add(c.id(), r)
	l.countSealed(cap(r.record))
	return cut
}

// sendSealed writes the rest of a record, if there is one.
func (l *loop) sendSealed(c *conn) result {
	r := l.rests.of.m[c.id()]
	if r == nil {
		return sent
	}
	n, did := l.writeSocket(c, r.record[r.out:])
	if did == ended {
		return ended
	}
	if r.out += n; did == cut {
		return cut
	}
	l.dropRest(c)
	l.counters.deliveries.Add(uint64(r.deliveries))
	return l.answerUpdate(c)
}

// dropRest forgets the rest of a record.
func (l *loop) dropRest(c *conn) {
	if r := l.rests.of.m[c.id()]; r != nil {
		l.rests.of.remove(c.id())
		l.countSealed(-cap(r.record))
	}
}

// countSealed counts bytes of sealed rests.
func (l *loop) countSealed(n int) {
	if l.server.sealed.Add(int64(n)) > l.server.maxSealed {
		l.wakeAgain()
	}
}

// dropSealed ends the connections that have been behind for longest of those with rests of
// records, while these are more than maxSealed together. Where that is another loop's, that is
// told. If it does not come to it, and the rests grow by another quarter, the loop ends its own.
// It returns true when there is more to do.
func (l *loop) dropSealed() (more bool) {
	for range slice {
		above := l.server.sealed.Load() - l.server.maxSealed
		if above <= 0 {
			return false
		}
		id, any := l.rests.first()
		switch longest := l.server.longestBehind(); {
		case longest == nil:
			return false
		case longest != l && (!any || above <= l.server.maxSealed/4):
			longest.waker.Signal()
			return false
		}
		l.end(l.table.at(id), reasonSlow)
	}
	return true
}

// longestBehind returns the loop whose connection has been behind for longest of those with
// the rest of a record, nil if there is none.
func (s *Server) longestBehind() (longest *loop) {
	since := int64(math.MaxInt64)
	for _, l := range s.loops {
		if at := l.rests.since.Load(); at < since {
			longest, since = l, at
		}
	}
	return longest
}

// add adds the rest of a connection.
func (r *rests) add(id streamID, rest *sealedRest) {
	r.of.set(id, rest)
	if len(r.oldest) > 2*len(r.of.m)+64 { // most are out by now
		r.oldest = slices.DeleteFunc(r.oldest, func(o fallen) bool { return !r.has(o) })
		heap.Init(&r.oldest)
	}
	heap.Push(&r.oldest, fallen{id, rest.fell})
	r.since.Store(int64(r.oldest[0].fell))
}

// first returns the connection that has been behind for longest, if there is one with a rest.
func (r *rests) first() (_ streamID, any bool) {
	for len(r.oldest) > 0 && !r.has(r.oldest[0]) {
		heap.Pop(&r.oldest)
	}
	if len(r.oldest) == 0 {
		r.since.Store(math.MaxInt64)
		return 0, false
	}
	r.since.Store(int64(r.oldest[0].fell))
	return r.oldest[0].id, true
}

// has tells whether the rest that o stands for is still there, or another one of the same time.
func (r *rests) has(o fallen) bool {
	rest := r.of.m[o.id]
	return rest != nil && rest.fell == o.fell
}

// fallen is a connection that fell behind at a time.
type fallen struct {
	id   streamID
	fell time.Duration
}

// oldestFirst is a heap of those, for container/heap.
type oldestFirst []fallen

func (h oldestFirst) Len() int           { return len(h) }
func (h oldestFirst) Less(i, j int) bool { return h[i].fell < h[j].fell }
func (h oldestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *oldestFirst) Push(o any)        { *h = append(*h, o.(fallen)) }
func (h *oldestFirst) Pop() any {
	last := len(*h) - 1
	o := (*h)[last]
	*h = (*h)[:last]
	return o
}
