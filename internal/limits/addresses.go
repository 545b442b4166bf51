package limits

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	// addressShards is the number of locks that addresses are spread over, so
	// that loops rarely meet at one.
	addressShards = 64
	// MaxTold is how many connections of one address may be held, at most, just
	// to be told to come back. More of them are closed at once.
	MaxTold = 64
	// maxIdleAddresses bounds the addresses that are remembered without a
	// connection, because of those they lately made. Others are forgotten.
	maxIdleAddresses = 1 << 18
)

// Network is what counts as one client: an IPv4 address, or the first 64 bits of
// an IPv6 address, since one customer gets at least those (RFC 6177). IPv4 has a
// prefix of its own, out of the reserved ones of IPv6.
type Network uint64

// NetworkOf returns the network of an address, IPv4 in its mapped form.
func NetworkOf(ip [16]byte) Network {
	if netip.AddrFrom16(ip).Is4In6() {
		return 0xffff<<32 | Network(binary.BigEndian.Uint32(ip[12:]))
	}
	return Network(binary.BigEndian.Uint64(ip[:8]))
}

// Decision says whether a connection may become a stream, by the bounds of its address.
type Decision uint8

const (
	Admitted   Decision = iota
	AboveLimit          // the address has as many connections as it may
	AboveRate           // it makes them too fast
	Flood               // so many of it are being told to come back that this one has to be closed
)

// Addresses holds the state of each client address: its connections, and its token
// bucket for new ones. All loops share it: a connection touches it when its
// client is known and when it ends. Safe for concurrent use.
type Addresses struct {
	most   int32 // connections of one address; 0 for any number
	bucket bucket
	seed   maphash.Seed
	shards [addressShards]addressShard
}

// addressShard holds a part of the addresses, in slots without pointers.
type addressShard struct {
	mu     sync.Mutex
	index  map[Network]int32 // in slots
	slots  []addressSlot
	unused []int32 // indexes in slots
	idle   int     // addresses without connections
	hand   int     // where the next sweep begins
}

type addressSlot struct {
	network Network
	full    time.Duration // when its bucket will be full
	open    int32         // connections that were let in
	away    int32         // connections that are to be told to come back
	used    bool
}

// Ref is an address in the table for as long as it has a connection; 0 is
// none.
type Ref int32

// NewAddresses returns a table for at most so many connections of one address, 0 for any
// number, and a rate of new ones.
func NewAddresses(most int, r Rate) *Addresses {
	a := &Addresses{most: int32(most), bucket: newBucket(r), seed: maphash.MakeSeed()}
	for i := range a.shards {
		a.shards[i].index = make(map[Network]int32)
	}
	return a
}

// Arrive counts a new connection of n. For every ref but 0 there must be one Leave.
func (a *Addresses) Arrive(n Network, now time.Duration) (ref Ref, d Decision) {
	s, i := a.shard(n)
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
		d = AboveLimit
	case !ok:
		d = AboveRate
	default:
		slot.full = full
		slot.open++
	}
	if d != Admitted {
		if slot.away >= MaxTold {
			return 0, Flood
		}
		slot.away++
	}
	if wasIdle {
		s.idle--
	}
	return Ref(at*addressShards + i + 1), d
}

// shard returns that of n, and its index.
func (a *Addresses) shard(n Network) (s *addressShard, i int32) {
	i = int32(maphash.Comparable(a.seed, n) % addressShards)
	return &a.shards[i], i
}

// Restore counts a connection of n again that another process has admitted, or with away not
// admitted: whatever the bounds are, and for no token. For every ref there must be one Leave.
func (a *Addresses) Restore(n Network, away bool) Ref {
	s, i := a.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[n]
	if !known {
		at = s.add(n)
	}
	slot := &s.slots[at]
	if known && slot.isIdle() {
		s.idle--
	}
	if away {
		slot.away++
	} else {
		slot.open++
	}
	return Ref(at*addressShards + i + 1)
}

// Network returns the address that a ref stands for.
func (a *Addresses) Network(ref Ref) Network {
	i, at := int32(ref-1)%addressShards, int32(ref-1)/addressShards
	s := &a.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[at].network
}

// Join counts one more at the address of an admitted connection: a further stream of it. It
// returns false if the address has as many as it may. For each that was counted there must
// be one Leave.
func (a *Addresses) Join(ref Ref) bool {
	i, at := int32(ref-1)%addressShards, int32(ref-1)/addressShards
	s := &a.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := &s.slots[at]
	if a.most > 0 && slot.open >= a.most {
		return false
	}
	slot.open++
	return true
}

// Leave takes back what Arrive or Join has counted; away is whether Arrive did not admit it.
func (a *Addresses) Leave(ref Ref, away bool, now time.Duration) {
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
func (s *addressShard) add(n Network) (at int32) {
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
