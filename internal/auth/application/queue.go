package application

import "net/netip"

const (
	// maxQueue is how many questions wait to be asked, and maxQueueBytes how much memory
	// what is passed on with them may take.
	maxQueue      = 8192
	maxQueueBytes = 32 << 20
	// flightBytes is what a question takes beside its texts.
	flightBytes = 512
)

// queue is the questions that wait, in a list for each client network. Networks take
// turns, and the list of each may be as long as what it leaves free: one that asks
// without end gets half of the room, and however many do, there is some for the next.
type queue struct {
	lists map[netip.Prefix]*list
	turns []*list // those with questions, the next one first
	n     int     // questions in all lists
	bytes int
}

// list is the questions of one network, in order.
type list struct {
	network netip.Prefix
	flights []*flight
}

// networkOf returns the address, or of IPv6 the network of 64 bits, that counts as one
// client.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	network, _ := addr.WithZone("").Prefix(bits) // the zero Prefix if there is no address
	return network
}

// hasRoom tells whether so many questions of a network can wait, with texts of so many
// bytes together.
func (q *queue) hasRoom(network netip.Prefix, more, bytes int) bool {
	own := 0
	if l := q.lists[network]; l != nil {
		own = len(l.flights)
	}
	return own+more <= maxQueue-q.n && bytes+more*flightBytes <= (maxQueueBytes-q.bytes)/2
}

// push appends a question to the list of its network.
func (q *queue) push(network netip.Prefix, f *flight) {
	l := q.lists[network]
	if l == nil {
		if l = (&list{network: network}); q.lists == nil {
			q.lists = make(map[netip.Prefix]*list)
		}
		q.lists[network] = l
		q.turns = append(q.turns, l)
	}
	l.flights = append(l.flights, f)
	q.n++
	q.bytes += f.size() + flightBytes
}

// pop takes the oldest question of the network whose turn it is, nil if none waits.
func (q *queue) pop() *flight {
	if q.n == 0 {
		return nil
	}
	l := q.turns[0]
	q.turns[0] = nil
	q.turns = q.turns[1:]
	f := l.flights[0]
	l.flights[0] = nil
	if l.flights = l.flights[1:]; len(l.flights) > 0 {
		q.turns = append(q.turns, l)
	} else {
		delete(q.lists, l.network)
	}
	q.n--
	q.bytes -= f.size() + flightBytes
	return f
}
