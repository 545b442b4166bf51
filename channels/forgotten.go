package channels

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/dchest/siphash"
)

const (
	// bucketNames is how many names a bucket has room for: with them it fills two cache
	// lines.
	bucketNames = 10
	// buckets is how many buckets there are at most: 8 MiB of them, which appear in
	// pages as channels vanish. Of 200,000 names, one in some thousands finds its
	// bucket full.
	buckets   = 1 << 16
	pageShift = 6
)

// forgotten has, by name, the sequence of the newest message that went together with
// its channel. A channel of such a name, opened again, must not pretend to have
// everything. To know each of them for ever would take memory for ever, so a bucket
// has the names with the newest sequences, and one sequence up to which any other
// name may have had some: a name may be told of a gap that it has not, but never the
// other way round.
type forgotten struct {
	key   forgottenKey
	pages [buckets >> pageShift]*[1 << pageShift]bucket
}

// forgottenKey keys the hash of names, so that an outsider cannot choose names that share
// a bucket. A process that has it can read the buckets.
type forgottenKey [2]uint64

// bucket is the names whose hashes begin alike.
type bucket struct {
	floor uint64              // of the names that had to leave, the newest sequence
	seqs  [bucketNames]uint64 // 0 where there is room
	tags  [bucketNames]uint32 // of the names: another part of their hashes
}

func newForgottenKey() forgottenKey {
	var random [16]byte
	rand.Read(random[:]) // never fails
	return forgottenKey{binary.LittleEndian.Uint64(random[:]), binary.LittleEndian.Uint64(random[8:])}
}

// of returns the newest sequence that went with a channel of that name, or a newer
// one that went with another.
func (f *forgotten) of(name string) uint64 {
	p, tag := f.find(name, false)
	if p == nil {
		return 0
	}
	return p.of(tag)
}

// add notes that messages up to seq went with a channel. A sequence that is known
// already takes no room, so that channels without messages come and go for nothing.
func (f *forgotten) add(name string, seq uint64) {
	if seq == 0 {
		return
	}
	if p, tag := f.find(name, true); seq > p.of(tag) {
		p.add(tag, seq)
	}
}

func (p *bucket) of(tag uint32) uint64 {
	for i, t := range p.tags {
		if t == tag && p.seqs[i] > 0 {
			return p.seqs[i]
		}
	}
	return p.floor
}

// add notes a sequence that is above that of the tag. When there is no room, the
// least has to leave.
func (p *bucket) add(tag uint32, seq uint64) {
	least := 0
	for i, t := range p.tags {
		if t == tag {
			p.seqs[i] = seq
			return
		}
		if p.seqs[i] < p.seqs[least] {
			least = i
		}
	}
	p.floor = max(p.floor, min(seq, p.seqs[least]))
	if seq > p.seqs[least] {
		p.tags[least], p.seqs[least] = tag, seq
	}
}

// find returns the bucket of a name and its tag there. Where there is no such bucket
// yet, it is nil unless it is wanted.
func (f *forgotten) find(name string, wanted bool) (*bucket, uint32) {
	var buffer [MaxName]byte
	hash := siphash.Hash(f.key[0], f.key[1], append(buffer[:0], name...))
	i := hash % buckets
	page := f.pages[i>>pageShift]
	if page == nil {
		if !wanted {
			return nil, 0
		}
		page = new([1 << pageShift]bucket)
		f.pages[i>>pageShift] = page
	}
	return &page[i%(1<<pageShift)], uint32(hash >> 32)
}
