package main

import (
	"sync"
	"time"

	"millrace/channels"
)

// janitor has a broker forget messages that are too old while nobody publishes
// or subscribes. The zero value has not been started.
type janitor struct {
	done    chan struct{}
	running sync.WaitGroup
}

// start looks eight times in the time that a message lives; never if that is 0.
func (j *janitor) start(b *channels.Broker, ttl time.Duration) {
	j.done = make(chan struct{})
	if ttl == 0 {
		return
	}
	j.running.Go(func() {
		ticker := time.NewTicker(max(ttl/8, 100*time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				b.Expire()
			case <-j.done:
				return
			}
		}
	})
}

// stop ends what start has begun, once.
func (j *janitor) stop() {
	if j.done != nil {
		close(j.done)
		j.running.Wait()
	}
}
