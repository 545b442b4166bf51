package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Ensure that answers wait, no more than so many of them, and that all are counted.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		var answered, refused atomic.Int64
		var guessing sync.WaitGroup
		began := time.Now()
		for range 100 {
			guessing.Go(func() {
				if g.Wrong(nil) {
					answered.Add(1)
				} else {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if answered.Load() != 0 || refused.Load() != 100-MaxWaiting {
			t.Errorf("at once: %d answered, %d refused, want 0 and %d", answered.Load(), refused.Load(), 100-MaxWaiting)
		}
		guessing.Wait()
		if took := time.Since(began); answered.Load() != MaxWaiting || took != DefaultDelay || g.Count() != 100 {
			t.Errorf("%d answered after %v, %d counted, want %d, %v, 100", answered.Load(), took, g.Count(), MaxWaiting, DefaultDelay)
		}
		done := make(chan struct{})
		close(done)
		if g.Wrong(done) || time.Since(began) != DefaultDelay {
			t.Error("waited though it was done")
		}
	})
}
