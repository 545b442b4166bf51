package limits

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/internal/handover"
)

// Ensure that addresses that go on in another process, at any time and more than once, are let
// in at no higher rate than in one process, and no lower one.
func TestRatesTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{rapid.IntRange(1, 5).Draw(t, "events"), time.Minute}
		one, now := NewAddresses(0, rate), time.Duration(0)
		next := NewAddresses(0, rate)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second
			if rapid.IntRange(0, 9).Draw(t, "step") == 0 {
				rates := next.Rates(now)
				next = NewAddresses(0, rate)
				next.Follow(rates, now)
				next.Follow(rates, now) // twice is once
				continue
			}
			n := Network(rapid.IntRange(1, 4).Draw(t, "network"))
			ref, want := one.Arrive(n, now)
			one.Leave(ref, want != Admitted, now)
			ref, got := next.Arrive(n, now)
			next.Leave(ref, got != Admitted, now)
			if got != want {
				t.Fatalf("at %v the network %d gets %d, want %d", now, n, got, want)
			}
		}
	})
}

// Ensure that rates from elsewhere take no more room than idle addresses may, that what
// nonsense they have is bounded, and that all of it is forgotten in time.
func TestRatesAreBounded(t *testing.T) {
	a := NewAddresses(0, Rate{1, time.Second})
	rates := make([]handover.AddressRate, maxIdleAddresses+10_000)
	for i := range rates {
		rates[i] = handover.AddressRate{Network: uint64(i + 1), Full: 1 << 62}
	}
	a.Follow(rates, 0)
	known := a.Rates(0)
	if n := len(known); n > maxIdleAddresses || n < maxIdleAddresses/2 {
		t.Errorf("%d addresses are known, want at most %d", n, maxIdleAddresses)
	}
	for _, r := range known {
		if r.Full > int64(time.Second) {
			t.Fatalf("the bucket of %d is full in %v, want %v at most", r.Network, time.Duration(r.Full), time.Second)
		}
	}
	if n := len(a.Rates(time.Second)); n != 0 {
		t.Errorf("%d addresses with full buckets travel, want none", n)
	}
	if n := len(NewAddresses(3, Rate{}).Rates(0)); n != 0 {
		t.Errorf("%d addresses travel without a rate, want none", n)
	}
}

// Ensure that the rate of all arrivals goes on, and bookings come after those before.
func TestArrivalsTravel(t *testing.T) {
	var before, after Bucket
	rate := Rate{10, time.Second}
	before.Set(rate)
	after.Set(rate)
	for range 10 {
		before.Take(0)
	}
	const soonest, latest = time.Second, time.Minute
	for range 5 {
		before.Book(0, soonest, latest)
	}
	after.Follow(before.State(), 0, latest)
	after.Follow(handover.Arrivals{Full: -1, Booked: -1}, 0, latest)
	if after.Take(0) {
		t.Error("an empty bucket is full in the next process")
	}
	want, _ := before.Book(0, soonest, latest)
	if got, _ := after.Book(0, soonest, latest); got != want {
		t.Errorf("a client is to come back in %v, want %v", got, want)
	}
	after.Follow(handover.Arrivals{Full: 1 << 62, Booked: 1 << 62}, 0, latest)
	if !after.Take(2 * time.Second) {
		t.Error("a bucket that nonsense has emptied does not fill again")
	}
}
