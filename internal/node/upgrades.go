package node

import (
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
