package auth

import (
	"millrace/internal/handover"
)

// Holding returns the kicks that hold, for a process that takes over.
func (k *Kicks) Holding() []handover.Kick {
	k.mu.RLock()
	defer k.mu.RUnlock()
	kicks := make([]handover.Kick, 0, len(k.users)+1)
	travel := func(user string, held kicked) {
		kicks = append(kicks, handover.Kick{User: user, At: held.at, Until: held.until, Barred: held.barred})
	}
	if k.everybody != (kicked{}) {
		travel("", k.everybody)
	}
	for user, held := range k.users {
		travel(user, held)
	}
	return kicks
}

// Follow has the kicks of the process before hold, too. It takes those of all users: there is
// room for them, as that process had.
func (k *Kicks) Follow(kicks []handover.Kick) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, kick := range kicks {
		entry := kicked{kick.At, kick.Until, kick.Barred}
		if kick.User == "" {
			k.everybody = k.everybody.with(entry)
		} else {
			if k.users == nil {
				k.users = make(map[string]kicked)
			}
			k.users[kick.User] = k.users[kick.User].with(entry)
		}
		k.over = min(k.over, entry.until)
		k.any.Store(true)
	}
}
