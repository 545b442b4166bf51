package channels

import "sort"

// log holds the newest messages of one channel, oldest first, in a ring whose
// capacity is a power of two. Guarded by Broker.mu.
type log struct {
	ring []*Message
	head int // index in ring of the oldest message
	n    int // messages held
	size int // their sizes together, in bytes
}

// at returns the i-th oldest message, 0 <= i < n.
func (l *log) at(i int) *Message { return l.ring[(l.head+i)&(len(l.ring)-1)] }

func (l *log) push(m *Message) {
	if l.n == len(l.ring) {
		l.resize(max(4, 2*l.n))
	}
	l.ring[(l.head+l.n)&(len(l.ring)-1)] = m
	l.n++
	l.size += m.size()
}

// pop takes the oldest message out. The ring follows the log down, so that one
// burst does not leave its capacity behind.
func (l *log) pop() *Message {
	m := l.ring[l.head]
	l.ring[l.head] = nil
	l.head = (l.head + 1) & (len(l.ring) - 1)
	l.n--
	l.size -= m.size()
	switch {
	case l.n == 0:
		l.ring, l.head = nil, 0
	case len(l.ring) > 16 && l.n <= len(l.ring)/4:
		l.resize(len(l.ring) / 2)
	}
	return m
}

func (l *log) resize(capacity int) {
	ring := make([]*Message, capacity)
	for i := range l.n {
		ring[i] = l.at(i)
	}
	l.ring, l.head = ring, 0
}

// after returns the index of the first message whose sequence is above seq;
// l.n when there is none.
func (l *log) after(seq uint64) int {
	return sort.Search(l.n, func(i int) bool { return l.at(i).Seq > seq })
}
