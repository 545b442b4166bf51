package server

import (
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
