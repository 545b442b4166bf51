package channels

import "sort"

// log holds the newest messages of one channel, oldest first, in a ring whose
// capacity is a power of two. nil is an empty one, to be read only. Guarded by Broker.mu.
type log struct {
	ring   []*Message
	head   int32    // index in ring of the oldest message
	n      int32    // messages held
	size   int      // their sizes together, in bytes
	excess inExcess // the channel's place in Broker.excess
}

// count returns how many messages are held.
func (l *log) count() int {
	if l == nil {
		return 0
	}
	return int(l.n)
}

// bytes returns their sizes together.
func (l *log) bytes() int {
	if l == nil {
		return 0
	}
	return l.size
}

// at returns the i-th oldest message, 0 <= i < n.
func (l *log) at(i int) *Message { return l.ring[(int(l.head)+i)&(len(l.ring)-1)] }

func (l *log) push(m *Message) {
	if int(l.n) == len(l.ring) {
		l.resize(max(4, 2*len(l.ring)))
	}
	l.ring[int(l.head+l.n)&(len(l.ring)-1)] = m
	l.n++
	l.size += m.size()
}

// pop takes the oldest message out. The ring follows the log down, so that one
// burst does not leave its capacity behind.
func (l *log) pop() *Message {
	m := l.ring[l.head]
	l.ring[l.head] = nil
	l.head = (l.head + 1) & int32(len(l.ring)-1)
	l.n--
	l.size -= m.size()
	switch {
	case l.n == 0:
		l.ring, l.head = nil, 0
	case len(l.ring) > 16 && int(l.n) <= len(l.ring)/4:
		l.resize(len(l.ring) / 2)
	}
	return m
}

func (l *log) resize(capacity int) {
	ring := make([]*Message, capacity)
	for i := range l.count() {
		ring[i] = l.at(i)
	}
	l.ring, l.head = ring, 0
}

// after returns the index of the first message whose sequence is above seq;
// the count when there is none.
func (l *log) after(seq uint64) int {
	return sort.Search(l.count(), func(i int) bool { return l.at(i).Seq > seq })
}
