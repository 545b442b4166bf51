package server

import (
	"slices"
	"time"
)

// A record of which a socket took a part has to leave whole, or the client could open none
// behind it. Its rest is kept for the stream, by slowReader.sealed: unlike a message, it is
// nobody else's.

// maxSealed bounds the rests of records that are kept for all streams together, in bytes.
const maxSealed = 64 << 20

// cutOff is a stream that fell behind at a time, and had the rest of a record then.
type cutOff struct {
	id   streamID
	fell time.Duration
}

// hasRest tells whether the rest of a record has to leave before anything else.
func (l *loop) hasRest(c *conn) bool {
	return c.flags.is(behind) && len(l.readers.m[c.id()].sealed) > 0
}

// keepRest keeps the rest of a record of which the socket took a part: the stream is behind.
// What is no stream has written next to nothing, which nobody reads.
func (l *loop) keepRest(c *conn, rest []byte) result {
	if c.state != stateStream && c.state != stateHTTP2 {
		l.end(c, reasonSlow)
		return ended
	}
	if !c.flags.is(behind) {
		l.fallBehind(&c.stream, leftover{}, false)
	}
	r := l.readers.m[c.id()]
	r.sealed = slices.Clone(rest)
	l.countSealed(len(rest))
	if !r.counted {
		r.counted = true
		l.cutOff = append(l.cutOff, cutOff{c.id(), r.fell})
		if len(l.cutOff) > 2*len(l.readers.m)+64 { // most have caught up meanwhile
			l.cutOff = slices.DeleteFunc(l.cutOff, func(o cutOff) bool { return l.readerOf(o) == nil })
		}
	}
	return cut
}

// sendSealed writes the rest of a record to a stream that is behind.
func (l *loop) sendSealed(c *conn, r *slowReader) result {
	if len(r.sealed) == 0 {
		return sent
	}
	n, did := l.writeSocket(c, r.sealed)
	if did == ended {
		return ended
	}
	l.countSealed(-n)
	r.sealed = r.sealed[n:]
	if did == cut {
		return cut
	}
	r.sealed = nil
	return l.answerUpdate(c)
}

// countSealed counts bytes of sealed rests.
func (l *loop) countSealed(n int) {
	if l.server.sealed.Add(int64(n)) > l.server.maxSealed {
		l.wakeAgain()
	}
}

// readerOf returns the slow reader that o is about, nil if it has caught up or ended.
func (l *loop) readerOf(o cutOff) *slowReader {
	if r := l.readers.m[o.id]; r != nil && r.fell == o.fell && r.counted {
		return r
	}
	return nil
}

// dropSealed ends streams that have been behind for longest, while the rests of records are
// more than maxSealed together.
func (l *loop) dropSealed() {
	for range slice {
		if len(l.cutOff) == 0 || l.server.sealed.Load() <= l.server.maxSealed {
			return
		}
		first := l.cutOff[0]
		l.cutOff = l.cutOff[1:]
		switch r := l.readerOf(first); {
		case r == nil:
		case len(r.sealed) == 0:
			r.counted = false // until it is cut again
		default:
			l.end(l.table.at(first.id), reasonSlow)
		}
	}
}
