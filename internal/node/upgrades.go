package node

import (
	"errors"
	"sync"

	"millrace/internal/handover"
)

// upgrades are the figures of all upgrades of the service. Safe for concurrent use.
type upgrades struct {
	mu      sync.Mutex
	figures handover.Upgrades
}

// get returns the figures.
func (u *upgrades) get() handover.Upgrades {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.figures
}

// set takes over the figures of the predecessor.
func (u *upgrades) set(figures handover.Upgrades) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.figures = figures
}

// done counts an upgrade, and returns all.
func (u *upgrades) done(figures handover.Upgrade) handover.Upgrades {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.figures.Done++
	u.figures.Last = figures
	return u.figures
}

// failed counts one that ended with err.
func (u *upgrades) failed(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case errors.Is(err, ErrRefused):
		u.figures.Refused++
	case errors.Is(err, ErrTakenBack):
		u.figures.TakenBack++
	default:
		u.figures.Failed++
	}
}
