package server

import "maps"

// fewToTidy is how many connections a loop must have had for its tables to be worth
// giving back.
const fewToTidy = 256

// tidy gives memory back when a loop has a quarter of the connections that it had
// at most: maps of Go keep the size they once had, and so do slices. It is done
// again at a quarter of these, so a connection pays for few entries, and no loop is
// held up by more than a third of what has left.
//
// What stays is 64 bytes of slot and some 5 of the timer wheel for each descriptor
// or timer of the peak: slots, since another loop may look at one at any time, and
// the kernel gives the same numbers out again.
func (l *loop) tidy() {
	n := l.counters.connections.Load()
	if l.most < fewToTidy || n >= l.most/4 {
		return
	}
	l.most = n
	l.byChannel = remade(l.byChannel)
	l.several, l.partial, l.readers = remade(l.several), remade(l.partial), remade(l.readers)
	l.waiting, l.peers = remade(l.waiting), remade(l.peers)
	locals := make([]*local, 0, len(l.byChannel))
	for i, ch := range l.locals {
		if ch != nil {
			l.renumber(ch, int32(i), int32(len(locals)))
			locals = append(locals, ch)
		}
	}
	l.locals, l.unused = locals, nil
}

// renumber gives a channel another index in loop.locals, not above its own: so while
// all get theirs from the first one on, none is taken for another.
func (l *loop) renumber(ch *local, from, to int32) {
	l.byChannel[ch.channel] = to
	for _, fd := range ch.subscribers {
		if c := l.table.at(fd); c.local != severalChannels {
			c.local = to
			continue
		}
		several := l.several[fd]
		for i := range several {
			if several[i].local == from {
				several[i].local = to
			}
		}
	}
}

// remade is a copy of m in a map of its size.
func remade[K comparable, V any](m map[K]V) map[K]V {
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
}

// brief returns a list of subscribers without the room of a crowd that has left:
// roomy taken back, with room for as many again.
func brief(list []int32) []int32 {
	if cap(list) < longList || len(list) > cap(list)/4 {
		return list
	}
	return append(make([]int32, 0, cap(list)/2), list...)
}
