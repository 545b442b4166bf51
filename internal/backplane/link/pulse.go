package link

import (
	"context"
	"time"
)

// pulsePeriod is the time between two pings.
const pulsePeriod = 2 * time.Second

// Pulse has ping ask the engine for a sign of life, again and again, until ctx is done or
// ping fails. It returns why.
func Pulse(ctx context.Context, ping func(context.Context) error) error {
	ticker := time.NewTicker(pulsePeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			if err := ping(ctx); err != nil {
				return err
			}
		}
	}
}
