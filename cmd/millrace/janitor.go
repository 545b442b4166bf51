package main

import (
	"sync"
	"time"

	"millrace/channels"
)

// janitor has a broker drop what has had its time while nobody publishes or
// subscribes. The zero value has not been started.
type janitor struct {
	done    chan struct{}
	running sync.WaitGroup
}

// start looks once a second, and eight times in the time that a message lives.
func (j *janitor) start(b *channels.Broker, ttl time.Duration) {
	j.done = make(chan struct{})
	period := time.Second
	if ttl > 0 {
		period = min(period, max(ttl/8, 100*time.Millisecond))
	}
	j.running.Go(func() {
		ticker := time.NewTicker(period)
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
