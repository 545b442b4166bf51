package link

import (
	"context"
	"time"

	"millrace/internal/redact"
)

// remindPeriod is the time between two lines of the log about an engine that is down.
const remindPeriod = time.Minute

// State is that of the connection with the engine.
type State struct {
	Engine   string    // for people
	Up       bool      // it is connected
	Since    time.Time // when that became so, or when the link was made
	Connects int64     // times that it became connected
}

// State returns the present state. Safe for concurrent use.
func (l *Link) State() State { return *l.state.Load() }

// change notes that the engine has been reached, or lost. Called by the session's
// goroutine.
func (l *Link) change(up bool) {
	next := State{Engine: l.engine, Up: up, Since: time.Now(), Connects: l.State().Connects}
	if up {
		next.Connects++
	}
	l.state.Store(&next)
}

// remind logs once in a while that the engine is down, and since when, until ctx is
// done.
func (l *Link) remind(ctx context.Context) {
	ticker := time.NewTicker(remindPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s, health := l.State(), l.Health()
			if down := now.Sub(s.Since); !s.Up && health != nil && down >= remindPeriod/2 {
				l.Log.Warn("there is no connection to "+l.engine, "server", redact.URL(l.url),
					"since", s.Since.UTC().Format(time.RFC3339), "for", down.Round(time.Second).String(), "error", health)
			}
		}
	}
}
