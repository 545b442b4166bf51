package channels

// Merge appends to dst, in the order of their sequences, the messages of runs, each
// of which is in order; of gaps that share a place, one. Its time is the number of messages
// that it appends, times the logarithm of the number of runs.
func Merge(dst []*Message, runs ...[]*Message) []*Message {
	var onStack [64]head
	heads := heads(onStack[:0])
	begin := len(dst)
	for i, run := range runs {
		if len(run) > 0 {
			heads = append(heads, head{run[0].Seq, int32(i), 0})
		}
	}
	heads.order()
	for len(heads) > 0 {
		h := heads[0]
		run := runs[h.run]
		if n := len(dst); n == begin || dst[n-1].Seq != h.seq {
			dst = append(dst, run[h.at])
		}
		if h.at++; int(h.at) < len(run) {
			heads.replace(head{run[h.at].Seq, h.run, h.at})
		} else {
			heads = heads.drop()
		}
	}
	return dst
}

// head is the next message of a run.
type head struct {
	seq     uint64
	run, at int32
}

// heads is a heap: none is below the one at half its index, less one.
type heads []head

// order makes a heap of any heads.
func (h heads) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i, h[i])
	}
}

// replace puts x into the place of the first.
func (h heads) replace(x head) { h.sink(0, x) }

// sink puts x into the place i, or below.
func (h heads) sink(i int, x head) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].seq < h[child].seq {
			child++
		}
		if x.seq <= h[child].seq {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = x
}

// drop takes the first out.
func (h heads) drop() heads {
	last := len(h) - 1
	x := h[last]
	if h = h[:last]; last > 0 {
		h.replace(x)
	}
	return h
}
