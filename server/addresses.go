package server

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// addressShards is the number of locks that addresses are spread over, so
	// that loops rarely meet at one.
	addressShards = 64
	// maxAway is how many connections of one address may be held, at most, just
	// to be told to come back. More of them are closed at once.
	maxAway = 64
	// maxIdleAddresses bounds the addresses that are remembered without a
	// connection, because of what they lately made. What is above is forgotten.
	maxIdleAddresses = 1 << 18
)

// addresses holds what each client address has: its connections, and its token
// bucket for new ones. All loops share it: a connection touches it when its
// client is known and when it ends. Safe for concurrent use.
type addresses struct {
	most   int32 // connections of one address; 0 for any number
	bucket bucket
	seed   maphash.Seed
	shards [addressShards]addressShard
}

// addressShard holds a part of the addresses, in slots without pointers.
type addressShard struct {
	mu     sync.Mutex
	index  map[network]int32 // in slots
	slots  []addressSlot
	unused []int32 // indexes in slots
	idle   int     // addresses without connections
	hand   int     // where the next sweep begins
}

type addressSlot struct {
	network network
	full    time.Duration // when its bucket will be full
	open    int32         // connections that were let in
	away    int32         // connections that are to be told to come back
	used    bool
}

// addressRef is an address in the table for as long as it has a connection; 0 is
// none.
type addressRef int32

func newAddresses(most int, r Rate) *addresses {
	a := &addresses{most: int32(most), bucket: newBucket(r), seed: maphash.MakeSeed()}
	for i := range a.shards {
		a.shards[i].index = make(map[network]int32)
	}
	return a
}

// arrive counts a new connection of n. why is admitted if it may become a
// stream, else why it may not. For every ref but 0 there must be one leave.
func (a *addresses) arrive(n network, now time.Duration) (ref addressRef, why reason) {
	i := maphash.Comparable(a.seed, n) % addressShards
	s := &a.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[n]
	if !known {
		s.sweep(now)
		at = s.add(n)
	}
	slot := &s.slots[at]
	wasIdle := known && slot.isIdle()
	full, ok := a.bucket.take(slot.full, now)
	switch {
	case a.most > 0 && slot.open >= a.most:
		why = reasonAddressLimit
	case !ok:
		why = reasonAddressRate
	default:
		slot.full = full
		slot.open++
	}
	if why != admitted {
		if slot.away >= maxAway {
			return 0, reasonAddressFlood
		}
		slot.away++
	}
	if wasIdle {
		s.idle--
	}
	return addressRef(at*addressShards + int32(i) + 1), why
}

// leave takes back what arrive has counted; away is whether it gave a why.
func (a *addresses) leave(ref addressRef, away bool, now time.Duration) {
	i, at := int32(ref-1)%addressShards, int32(ref-1)/addressShards
	s := &a.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := &s.slots[at]
	if away {
		slot.away--
	} else {
		slot.open--
	}
	switch {
	case !slot.isIdle():
	case slot.full <= now || s.idle >= maxIdleAddresses/addressShards:
		s.remove(at)
	default:
		s.idle++
	}
}

func (slot *addressSlot) isIdle() bool { return slot.open == 0 && slot.away == 0 }

// add gives n a slot.
func (s *addressShard) add(n network) (at int32) {
	if last := len(s.unused) - 1; last >= 0 {
		at, s.unused = s.unused[last], s.unused[:last]
	} else {
		at = int32(len(s.slots))
		s.slots = append(s.slots, addressSlot{})
	}
	s.slots[at] = addressSlot{network: n, used: true}
	s.index[n] = at
	return at
}

func (s *addressShard) remove(at int32) {
	delete(s.index, s.slots[at].network)
	s.slots[at].used = false
	s.unused = append(s.unused, at)
}

// sweep forgets idle addresses whose bucket is full, which is as good as new.
// Two slots are looked at for each address that is added, so that no more slots
// than twice those in need are there for long.
func (s *addressShard) sweep(now time.Duration) {
	for range min(2, len(s.slots)) {
		s.hand = (s.hand + 1) % len(s.slots)
		if slot := &s.slots[s.hand]; slot.used && slot.isIdle() && slot.full <= now {
			s.remove(int32(s.hand))
			s.idle--
		}
	}
}
