package link

import (
	"context"
	"time"
)

// batch is how many channels are asked for at once.
const batch = 512

// Asker is a session, as far as Ask talks to it.
type Asker interface {
	Subscribe(ctx context.Context, names []string) error
	Unsubscribe(ctx context.Context, names []string) error
}

// Ask asks for the channels that the set wants, in batches, and gives up those that it no
// longer wants, until ctx is done, or a call fails. It returns why.
func (l *Link) Ask(ctx context.Context, a Asker) error {
	for {
		ask, drop, again := l.Set.Next(batch)
		if len(drop) > 0 {
			if err := a.Unsubscribe(ctx, drop); err != nil {
				return err
			}
		}
		if len(ask) > 0 {
			if err := a.Subscribe(ctx, ask); err != nil {
				return err
			}
		}
		if len(ask)+len(drop) > 0 {
			continue
		}
		var later <-chan time.Time
		if !again.IsZero() {
			later = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.Set.Wake():
		case <-later:
		}
	}
}
