package server

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRateText(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Rate
		as   string
	}{
		{"0", Rate{}, "0"},
		{"0/m", Rate{}, "0"},
		{"1", Rate{1, time.Second}, "1/s"},
		{"1000/s", Rate{1000, time.Second}, "1000/s"},
		{"30/m", Rate{30, time.Minute}, "30/m"},
		{"500/h", Rate{500, time.Hour}, "500/h"},
		{"100/10s", Rate{100, 10 * time.Second}, "100/10s"},
		{"1000000/24h", Rate{1_000_000, 24 * time.Hour}, "1000000/24h0m0s"},
	} {
		got, err := ParseRate(tt.text)
		if err != nil || got != tt.want || got.String() != tt.as {
			t.Errorf("%q is read as %v, %v; want %v", tt.text, got, err, tt.as)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%v is read as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "/", "/s", "1/", "-1", "1.5", "1/d", "1/0s", "1/500ms", "1/25h", "1000001", "1/s/s", " 1", "0x10", "1e3"} {
		if r, err := ParseRate(text); err == nil {
			t.Errorf("%q is read as %v, want an error", text, r)
		}
	}
}

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
	b := sharedBucket{bucket: newBucket(Rate{1000, time.Hour})}
	var taken atomic.Int64
	var loops sync.WaitGroup
	for range 8 {
		loops.Go(func() {
			for range 500 {
				if b.take(0) {
					taken.Add(1)
				}
			}
		})
	}
	loops.Wait()
	if taken.Load() != 1000 {
		t.Errorf("%d tokens taken, want 1000", taken.Load())
	}
	var off sharedBucket
	for range 1000 {
		if !off.take(0) {
			t.Fatal("the zero bucket is empty")
		}
	}
}

// Ensure that a crowd which finds the bucket empty comes back as tokens flow in:
// that all are in when there have been tokens for all, having asked a few times
// at most.
func TestCrowdComesBackInOrder(t *testing.T) {
	const rate = 100
	for _, crowd := range []int{50, 1000, 4000, 20_000} {
		b := sharedBucket{bucket: newBucket(Rate{rate, time.Second})}
		due := make(map[time.Duration]int) // by the millisecond: how many come
		due[0] = crowd
		in, asked, last := 0, 0, time.Duration(0)
		for now := time.Duration(0); in < crowd; now += time.Millisecond {
			for range due[now] {
				asked++
				if b.take(now) {
					in, last = in+1, now
					continue
				}
				wait, ok := b.book(now, turnAwayDelay, longestDelay)
				if !ok {
					wait = turnAwayDelay + rand.N(longestDelay-turnAwayDelay)
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
		if most := best + best/4 + 2*longestDelay; last > most {
			t.Errorf("%d at %d a second: in after %v, want at most %v", crowd, rate, last, most)
		}
		if most := 2 + float64(best)/float64(longestDelay/2); float64(asked) > most*float64(crowd) {
			t.Errorf("%d at %d a second: each asked %.2f times, want at most %.2f", crowd, rate, float64(asked)/float64(crowd), most)
		}
	}
}
