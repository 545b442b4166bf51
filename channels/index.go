package channels

import (
	"slices"
	"strings"
)

// blockSize is the most channels in a block of an index. Adding one moves half
// a block, and finding one looks at some twenty names in a million.
const blockSize = 512

// index has the channels in the order of their names, in blocks of 1 to
// blockSize, so that a page of them costs its length and not that of all.
// Publishing does not touch it. Guarded by Broker.mu.
type index struct {
	blocks [][]*Channel
}

// add puts in c, whose name is not there.
func (x *index) add(c *Channel) {
	i, j := x.find(c.name)
	if i == len(x.blocks) {
		if i == 0 {
			x.blocks = [][]*Channel{{c}}
			return
		}
		i--
		j = len(x.blocks[i])
	}
	if len(x.blocks[i]) < blockSize {
		x.blocks[i] = slices.Insert(x.blocks[i], j, c)
		return
	}
	// Names that come in order leave full blocks, others halves.
	at := blockSize / 2
	if i == len(x.blocks)-1 && j == blockSize {
		at = blockSize
	}
	first, second := x.blocks[i][:at], slices.Clone(x.blocks[i][at:])
	if j <= at && at < blockSize {
		first = slices.Insert(slices.Clone(first), j, c)
	} else {
		first, second = slices.Clip(slices.Clone(first)), slices.Insert(second, j-at, c)
	}
	x.blocks[i] = first
	x.blocks = slices.Insert(x.blocks, i+1, second)
}

// remove takes out c, which is there. A block that is left with few goes into
// the one after it, so that there are never many small ones.
func (x *index) remove(c *Channel) {
	i, j := x.find(c.name)
	block := slices.Delete(x.blocks[i], j, j+1)
	x.blocks[i] = block
	switch last := i == len(x.blocks)-1; {
	case len(block) == 0:
		x.blocks = slices.Delete(x.blocks, i, i+1)
	case !last && len(block) < blockSize/8 && len(block)+len(x.blocks[i+1]) <= blockSize/2:
		x.blocks[i] = append(block, x.blocks[i+1]...)
		x.blocks = slices.Delete(x.blocks, i+1, i+2)
	}
}

// find returns the block and the place in it of the first channel whose name is
// not below name. After the last channel, the block is one more than there are.
func (x *index) find(name string) (block, place int) {
	block, _ = slices.BinarySearchFunc(x.blocks, name, func(b []*Channel, name string) int {
		return strings.Compare(b[len(b)-1].name, name)
	})
	if block < len(x.blocks) {
		place, _ = slices.BinarySearchFunc(x.blocks[block], name, func(c *Channel, name string) int {
			return strings.Compare(c.name, name)
		})
	}
	return block, place
}

// from calls f for the channels whose names are not below name, in order, until
// f returns false.
func (x *index) from(name string, f func(*Channel) bool) {
	i, j := x.find(name)
	for ; i < len(x.blocks); i, j = i+1, 0 {
		for _, c := range x.blocks[i][j:] {
			if !f(c) {
				return
			}
		}
	}
}
