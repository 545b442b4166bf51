package limits

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Ensure that a bucket holds a period's worth, and fills evenly.
func TestBucket(t *testing.T) {
	b := newBucket(Rate{10, time.Second})
	const begin = time.Hour
	full := time.Duration(0)
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{
		{0, 10}, {0, 0}, {99 * time.Millisecond, 0}, {100 * time.Millisecond, 1}, {199 * time.Millisecond, 0},
		{450 * time.Millisecond, 3}, {500 * time.Millisecond, 1}, {500 * time.Millisecond, 0},
		{1500 * time.Millisecond, 10}, {time.Hour, 10},
	} {
		got := 0
		for {
			after, ok := b.take(full, begin+tt.at)
			if !ok {
				break
			}
			full = after
			got++
		}
		if got != tt.want {
			t.Errorf("at %v: %d tokens, want %d", tt.at, got, tt.want)
		}
	}
}

// Ensure that loops together take what is in the bucket and no more.
func TestSharedBucket(t *testing.T) {
	b := Bucket{bucket: newBucket(Rate{1000, time.Hour})}
	var taken atomic.Int64
	var loops sync.WaitGroup
	for range 8 {
		loops.Go(func() {
			for range 500 {
				if b.Take(0) {
					taken.Add(1)
				}
			}
		})
	}
	loops.Wait()
	if taken.Load() != 1000 {
		t.Errorf("%d tokens taken, want 1000", taken.Load())
	}
	var off Bucket
	for range 1000 {
		if !off.Take(0) {
			t.Fatal("the zero bucket is empty")
		}
	}
}

// Ensure that a crowd which finds the bucket empty comes back as tokens flow in:
// that all are in when there have been tokens for all, having asked a few times
// at most.
func TestCrowdComesBackInOrder(t *testing.T) {
	const (
		rate            = 100
		soonest, latest = 5 * time.Second, time.Minute
	)
	for _, crowd := range []int{50, 1000, 4000, 20_000} {
		b := Bucket{bucket: newBucket(Rate{rate, time.Second})}
		due := make(map[time.Duration]int) // by the millisecond: how many come
		due[0] = crowd
		in, asked, last := 0, 0, time.Duration(0)
		for now := time.Duration(0); in < crowd; now += time.Millisecond {
			for range due[now] {
				asked++
				if b.Take(now) {
					in, last = in+1, now
					continue
				}
				wait, ok := b.Book(now, soonest, latest)
				if !ok {
					wait = soonest + rand.N(latest-soonest)
				}
				due[(now+wait).Truncate(time.Millisecond)]++
			}
			delete(due, now)
			if now > time.Hour {
				t.Fatalf("%d of %d are in after %v", in, crowd, now)
			}
		}
		best := max(time.Duration(crowd-rate)*time.Second/rate, 0) // were every token taken when it is there
		t.Logf("%d at %d a second: in after %v, at best %v; each asked %.2f times", crowd, rate, last, best, float64(asked)/float64(crowd))
		if most := best + best/4 + 2*latest; last > most {
			t.Errorf("%d at %d a second: in after %v, want at most %v", crowd, rate, last, most)
		}
		if most := 2 + float64(best)/float64(latest/2); float64(asked) > most*float64(crowd) {
			t.Errorf("%d at %d a second: each asked %.2f times, want at most %.2f", crowd, rate, float64(asked)/float64(crowd), most)
		}
	}
}
