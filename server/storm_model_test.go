package server

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/bench/storm"
	"millrace/internal/limits"
)

// Ensure that the simulation of reconnect storms lets in whom a server lets in,
// and has the others wait as long.
func TestSimulatedAcceptRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{Events: rapid.IntRange(1, 300).Draw(t, "rate"), Period: time.Duration(rapid.IntRange(1, 20).Draw(t, "period")) * time.Second}
		var bucket limits.Bucket
		bucket.Set(rate)
		door := storm.NewDoor(storm.Rate(rate))
		random := rand.New(rand.NewPCG(1, 1))
		now := time.Duration(0)
		for range rapid.IntRange(1, 2000).Draw(t, "arrivals") {
			if random.IntN(10) == 0 {
				now += time.Duration(random.Int64N(int64(rate.Period)))
			}
			wait, in := door.Ask(now, random)
			if want := bucket.Take(now); in != want {
				t.Fatalf("%v, at %v: let in is %v, want %v", rate, now, in, want)
			}
			if in {
				continue
			}
			want, booked := bucket.Book(now, turnAwayDelay, longestDelay)
			if booked && wait != want || !booked && (wait < turnAwayDelay || wait >= longestDelay) {
				t.Fatalf("%v, at %v: is to wait %v, want %v (booked: %v)", rate, now, wait, want, booked)
			}
		}
	})
}

// Ensure that it has drained clients wait within the span of which a server draws.
func TestSimulatedDrain(t *testing.T) {
	for _, drain := range []time.Duration{1, time.Millisecond, time.Second, 30 * time.Second, 10 * time.Minute} {
		shortest, longest := storm.ReturnDelay(drain)
		cfg := Config{Drain: drain}
		least, most := longest, shortest
		for range 1000 {
			d := cfg.drainDelay()
			least, most = min(least, d), max(most, d)
		}
		if span := longest - shortest; least < shortest || most > longest || least > shortest+span/50 || most < longest-span/50 {
			t.Errorf("drain of %v: told %v to %v, want %v to %v", drain, least, most, shortest, longest)
		}
	}
}
