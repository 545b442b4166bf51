package certs

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"millrace/internal/handover"
)

const (
	// sealFor is how long a drawn key seals session tickets, and openFor how long it opens
	// them: as crypto/tls has it for keys that it draws itself.
	sealFor, openFor = 24 * time.Hour, 7 * 24 * time.Hour
)

// DrawnKeys are keys of session tickets that a process draws itself, a new one every day.
// crypto/tls would, too, and hand them to nobody: but a process that takes over has to open
// the tickets of the one before. Safe for concurrent use.
type DrawnKeys struct {
	use func([][32]byte)

	mu   sync.Mutex
	keys []handover.SessionKey // the newest first, which seals
}

// DrawKeys draws a key and hands it to use, as it does each time with all keys when they have
// changed.
func DrawKeys(use func([][32]byte), now time.Time) *DrawnKeys {
	k := &DrawnKeys{use: use}
	k.Turn(now)
	return k
}

// Watch draws keys when it is time, until ctx is done.
func (k *DrawnKeys) Watch(ctx context.Context, interval time.Duration) {
	every(ctx, interval, func() { k.Turn(time.Now()) })
}

// Turn draws a key if it is time, and forgets those that are too old.
func (k *DrawnKeys) Turn(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) > 0 && now.Unix()-k.keys[0].Made < int64(sealFor.Seconds()) {
		return
	}
	key := handover.SessionKey{Made: now.Unix()}
	rand.Read(key.Key[:])
	k.set(append([]handover.SessionKey{key}, k.keys...), now)
}

// Keys returns the keys, the newest first, for a process that takes over.
func (k *DrawnKeys) Keys() []handover.SessionKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

// Follow takes the keys of the process before: its newest seals on, and those of this one
// open what they have sealed.
func (k *DrawnKeys) Follow(before []handover.SessionKey, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := slices.Clone(before)
	for _, key := range k.keys {
		if !slices.ContainsFunc(keys, func(b handover.SessionKey) bool { return b.Key == key.Key }) {
			keys = append(keys, key)
		}
	}
	k.set(keys, now)
}

// set has keys be used but for those that are too old. Called with mu held.
func (k *DrawnKeys) set(keys []handover.SessionKey, now time.Time) {
	keys = slices.DeleteFunc(keys, func(key handover.SessionKey) bool { return now.Unix()-key.Made >= int64(openFor.Seconds()) })
	if len(keys) == 0 {
		return
	}
	k.keys = keys[:min(len(keys), MaxTicketKeys)]
	used := make([][32]byte, len(k.keys))
	for i, key := range k.keys {
		used[i] = key.Key
	}
	k.use(used)
}
