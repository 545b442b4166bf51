package limits

import (
	"time"

	"millrace/internal/handover"
)

// Rates returns the addresses whose buckets are not full at now: those that have no connection,
// too. A process that takes over counts connections anew. It holds up one shard at a time.
func (a *Addresses) Rates(now time.Duration) (rates []handover.AddressRate) {
	if a.bucket.token == 0 {
		return nil
	}
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		for j := range s.slots {
			if slot := &s.slots[j]; slot.used && slot.full > now {
				rates = append(rates, handover.AddressRate{Network: uint64(slot.network), Full: int64(slot.full)})
			}
		}
		s.mu.Unlock()
	}
	return rates
}

// Follow has the buckets of addresses be no fuller than those of the process before, which
// share the loop time. What has no room is forgotten, as of addresses that have left.
func (a *Addresses) Follow(rates []handover.AddressRate, now time.Duration) {
	for _, r := range rates {
		full := min(time.Duration(r.Full), now+a.bucket.whole)
		if full > now {
			a.empty(Network(r.Network), full, now)
		}
	}
}

// empty has the bucket of n be full at a time, or later.
func (a *Addresses) empty(n Network, full, now time.Duration) {
	s, _ := a.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[n]
	if !known {
		if s.idle >= maxIdleAddresses/addressShards {
			return
		}
		s.sweep(now)
		at = s.add(n)
		s.idle++
	}
	s.slots[at].full = max(s.slots[at].full, full)
}

// State returns the bucket as it travels.
func (b *Bucket) State() handover.Arrivals {
	return handover.Arrivals{Full: b.full.Load(), Booked: b.booked.Load()}
}

// Follow has the bucket be no fuller than that of the process before, which shares the loop
// time, and books after what that one has booked.
func (b *Bucket) Follow(s handover.Arrivals, now, latest time.Duration) {
	raise := func(n interface {
		Load() int64
		CompareAndSwap(before, after int64) bool
	}, to int64) {
		for {
			before := n.Load()
			if before >= to || n.CompareAndSwap(before, to) {
				return
			}
		}
	}
	raise(&b.full, min(s.Full, int64(now+b.whole)))
	raise(&b.booked, min(s.Booked, int64(now+latest)))
}
