package limits

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naiveAddress is what addresses keeps of one, as it is explained in books: a
// bucket with a level, which is never forgotten.
type naiveAddress struct {
	open, away int32
	level      time.Duration // of the bucket, in the time that it took to flow in
	filled     time.Duration // when it was looked at last
}

func (n *naiveAddress) arrive(most int32, b bucket, now time.Duration) (why Decision) {
	n.level = min(n.level+now-n.filled, b.whole)
	n.filled = now
	switch {
	case most > 0 && n.open >= most:
		why = AboveLimit
	case n.level < b.token:
		why = AboveRate
	default:
		n.level -= b.token
		n.open++
		return why
	}
	if n.away == MaxTold {
		return Flood
	}
	n.away++
	return why
}

// Ensure that a table that forgets decides as one that does not, and that it
// does forget.
func TestAddressesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 5).Draw(t, "most")
		var r Rate
		if rapid.Bool().Draw(t, "bounded rate") {
			r = Rate{rapid.IntRange(1, 7).Draw(t, "events"), time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second}
		}
		a := NewAddresses(most, r)
		type visitor struct {
			n    Network
			ref  Ref
			away bool
		}
		model := make(map[Network]*naiveAddress)
		var inside []visitor
		now := time.Duration(0)
		arrive := func(t *rapid.T) {
			n := Network(rapid.IntRange(0, 9).Draw(t, "network"))
			if rapid.IntRange(0, 3).Draw(t, "stranger") == 0 {
				n = Network(rapid.Uint64().Draw(t, "network"))
			}
			if model[n] == nil {
				model[n] = &naiveAddress{level: a.bucket.whole}
			}
			want := model[n].arrive(int32(most), a.bucket, now)
			ref, why := a.Arrive(n, now)
			if why != want || (ref == 0) != (why == Flood) {
				t.Fatalf("network %x at %v: %v with ref %d, want %v", n, now, why, ref, want)
			}
			if ref != 0 {
				inside = append(inside, visitor{n, ref, why != Admitted})
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": arrive,
			"crowd": func(t *rapid.T) {
				for range rapid.IntRange(1, 80).Draw(t, "size") {
					arrive(t)
				}
			},
			"leave": func(t *rapid.T) {
				if len(inside) == 0 {
					t.Skip("nobody is inside")
				}
				i := rapid.IntRange(0, len(inside)-1).Draw(t, "who")
				v := inside[i]
				inside[i] = inside[len(inside)-1]
				inside = inside[:len(inside)-1]
				if v.away {
					model[v.n].away--
				} else {
					model[v.n].open--
				}
				a.Leave(v.ref, v.away, now)
			},
			"wait": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(1, 10_000).Draw(t, "milliseconds")) * time.Millisecond
			},
			"": func(t *rapid.T) { checkAddresses(t, a) },
		})
		for _, v := range inside {
			a.Leave(v.ref, v.away, now)
		}
		// Once nobody is known but through new ones, sweeps leave nothing of the old.
		now += r.Period
		for i := range Network(10_000) {
			ref, why := a.Arrive(1<<40+i, now)
			a.Leave(ref, why != Admitted, now+r.Period)
		}
		for i := range a.shards {
			if s := &a.shards[i]; len(s.index) != 0 || s.idle != 0 {
				t.Fatalf("shard %d: %d addresses without connections and with full buckets, %d of them idle", i, len(s.index), s.idle)
			}
		}
	})
}

// checkAddresses checks what must hold at every time.
func checkAddresses(t *rapid.T, a *Addresses) {
	for i := range a.shards {
		s := &a.shards[i]
		used, idle := 0, 0
		for at := range s.slots {
			slot := &s.slots[at]
			if !slot.used {
				continue
			}
			used++
			if slot.isIdle() {
				idle++
			}
			if got, ok := s.index[slot.network]; !ok || int(got) != at {
				t.Fatalf("shard %d: network %x is in slot %d and indexed at %d", i, slot.network, at, got)
			}
		}
		if used != len(s.index) || used+len(s.unused) != len(s.slots) || idle != s.idle {
			t.Fatalf("shard %d: %d used, %d indexed, %d unused of %d; %d idle, counted %d", i, used, len(s.index), len(s.unused), len(s.slots), idle, s.idle)
		}
	}
}

// Ensure that the memory of addresses without connections is bounded,
// however many there are.
func TestAddressesBounded(t *testing.T) {
	a := NewAddresses(0, Rate{1, time.Hour})
	for n := range Network(2 * maxIdleAddresses) {
		ref, why := a.Arrive(n, 0)
		a.Leave(ref, why != Admitted, 0)
	}
	slots := 0
	for i := range a.shards {
		slots += len(a.shards[i].slots)
	}
	if most := maxIdleAddresses + addressShards; slots > most {
		t.Errorf("%d slots for addresses without connections, want at most %d", slots, most)
	}
}

// Ensure that loops together let in as many of one address as are allowed.
func TestAddressesShared(t *testing.T) {
	const most, tokens, each = 1000, 500, 400
	for _, tt := range []struct {
		a      *Addresses
		let    int64
		reason Decision
	}{
		{NewAddresses(most, Rate{}), most, AboveLimit},
		{NewAddresses(0, Rate{tokens, time.Hour}), tokens, AboveRate},
	} {
		var let, refused atomic.Int64
		var loops sync.WaitGroup
		for range 8 {
			loops.Go(func() {
				for range each {
					ref, why := tt.a.Arrive(7, 0)
					if why == Admitted {
						let.Add(1)
						continue
					}
					if why != tt.reason && why != Flood {
						t.Errorf("refused for %v, want %v", why, tt.reason)
					}
					refused.Add(1)
					if ref != 0 {
						tt.a.Leave(ref, true, 0)
					}
				}
			})
		}
		loops.Wait()
		if let.Load() != tt.let || let.Load()+refused.Load() != 8*each {
			t.Errorf("%v: %d let in and %d refused of %d, want %d let in", tt.reason, let.Load(), refused.Load(), 8*each, tt.let)
		}
	}
}

// Ensure that networks are what customers get, and never meet.
func TestNetwork(t *testing.T) {
	of := func(addr string) Network { return NetworkOf(netip.MustParseAddrPort(addr).Addr().As16()) }
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:2", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"0.0.0.0:1", "[::]:1", false},
		{"0.0.0.0:1", "[::1]:1", false},
		{"[::1]:1", "[::2]:1", true},
	} {
		if same := of(tt.a) == of(tt.b); same != tt.same {
			t.Errorf("%s and %s count as one: %v, want %v", tt.a, tt.b, same, tt.same)
		}
	}
}

// Ensure that the part of storms that every connection pays does not allocate.
func TestArriveDoesNotAllocate(t *testing.T) {
	a := NewAddresses(1000, Rate{100, time.Second})
	ref, _ := a.Arrive(1, 0)
	defer a.Leave(ref, false, 0)
	now := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += time.Millisecond
		ref, why := a.Arrive(1, now)
		a.Leave(ref, why != Admitted, now)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Ensure that connections of a process before count at their address, however many they are.
func TestAddressesRestore(t *testing.T) {
	a := NewAddresses(2, Rate{1000, time.Second})
	var refs []Ref
	for range 3 {
		refs = append(refs, a.Restore(7, false))
	}
	refs = append(refs, a.Restore(7, true))
	for _, ref := range refs {
		if n := a.Network(ref); n != 7 {
			t.Errorf("a connection of address 7 counts at %d", n)
		}
	}
	ref, d := a.Arrive(7, 0)
	if d != AboveLimit {
		t.Errorf("another connection of the address: decision %d, want it above the limit of 2", d)
	}
	a.Leave(ref, true, 0)
	for i, ref := range refs {
		a.Leave(ref, i == 3, 0)
	}
	if _, d := a.Arrive(7, 0); d != Admitted {
		t.Errorf("a connection after all have left: decision %d, want it admitted", d)
	}
}

func BenchmarkArriveAndLeave(b *testing.B) {
	a := NewAddresses(1000, Rate{1_000_000, time.Second})
	var loops atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n, now := Network(loops.Add(1)<<32), time.Duration(0)
		for pb.Next() {
			n, now = n+1, now+time.Microsecond
			ref, why := a.Arrive(n, now)
			a.Leave(ref, why != Admitted, now)
		}
	})
}
