package auth

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultKick is how long a kick holds unless it says otherwise, and MaxKick the
	// longest that it may say.
	DefaultKick = 24 * time.Hour
	MaxKick     = 365 * 24 * time.Hour
	// maxKicks is how many users are known to have been kicked: some 8 MB, with short
	// names.
	maxKicks = 1 << 16
)

// ErrCrowded is returned for a kick that holds for everybody, since there was no room to
// know its user by name: nothing that was issued before it counts for anybody.
var ErrCrowded = errors.New("too many users have been kicked to know this one by name: nothing issued before now counts for anybody")

// ErrNotFinal is returned for a final kick that holds as any other, for want of room.
var ErrNotFinal = errors.New("too many users have been kicked for good: what is issued to this one from now on counts")

// Kick has nothing count for User until Until that was issued before At. A final one has
// nothing at all count until then. One whose Until is not after At lifts what held for
// User.
type Kick struct {
	User      string
	At, Until time.Time
	Final     bool
}

// Standing is what the kicks say of something that was issued to a user.
type Standing uint8

const (
	Counts Standing = iota
	Void            // a kick came after it: something newer may count
	Barred          // by a final kick
)

// Kicks are those that hold. The zero value has none. Safe for concurrent use.
type Kicks struct {
	any atomic.Bool // that there are some: nobody pays for what is not used

	mu        sync.RWMutex
	users     map[string]kicked
	everybody kicked // what there was no room for by name
	over      int64  // in microseconds since 1970: before then, none of them is over; 0: not known
	folded    int64
	most      int // 0: maxKicks
}

// kicked is what holds for a user, as times in microseconds: issued before at, nothing
// counts until until; and nothing at all until barred.
type kicked struct{ at, until, barred int64 }

// judge returns what k says of something that was issued then.
func (k kicked) judge(issued, now int64) Standing {
	switch {
	case now < k.barred:
		return Barred
	case now < k.until && issued < k.at:
		return Void
	}
	return Counts
}

// Judge returns whether what was issued to a user counts now. An unknown time, which is
// the zero one, is before every kick. What names no user cannot be kicked. A time in
// whole seconds, as tokens have it, is their beginning: what is issued within the second
// of a kick is void.
func (k *Kicks) Judge(user string, issued, now time.Time) Standing {
	if user == "" || !k.any.Load() {
		return Counts
	}
	var at int64 // of what is unknown
	if !issued.IsZero() {
		at = issued.UnixMicro()
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return max(k.users[user].judge(at, now.UnixMicro()), k.everybody.judge(at, now.UnixMicro()))
}

// Add has a kick hold. Of two of one user the later end counts, for each of what they
// say. An error, ErrCrowded or ErrNotFinal, says in what way it holds otherwise.
func (k *Kicks) Add(kick Kick, now time.Time) error {
	if err := kick.check(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !kick.Until.After(kick.At) {
		delete(k.users, kick.User)
		return nil
	}
	defer k.any.Store(true)
	entry := kicked{at: kick.At.UnixMicro(), until: kick.Until.UnixMicro()}
	if kick.Final {
		entry.barred = entry.until
	}
	before, known := k.users[kick.User]
	room := known || k.room(now)
	k.over = min(k.over, entry.until)
	if !room {
		return k.crowd(kick.User, entry)
	}
	if k.users == nil {
		k.users = make(map[string]kicked)
	}
	k.users[kick.User] = before.with(entry)
	return nil
}

// with returns what holds when both hold.
func (k kicked) with(other kicked) kicked {
	return kicked{max(k.at, other.at), max(k.until, other.until), max(k.barred, other.barred)}
}

// room tells whether there is room for another user, once what is over has gone. Called
// with mu held.
func (k *Kicks) room(now time.Time) bool {
	most := k.most
	if most == 0 {
		most = maxKicks
	}
	if len(k.users) < most {
		return true
	}
	k.sweep(now.UnixMicro())
	return len(k.users) < most
}

// sweep forgets what is over. Called with mu held.
func (k *Kicks) sweep(now int64) {
	if now < k.over {
		return
	}
	k.over = math.MaxInt64
	for user, held := range k.users {
		if held.until <= now {
			delete(k.users, user)
		} else {
			k.over = min(k.over, held.until)
		}
	}
	if k.everybody.until <= now {
		k.everybody = kicked{}
	} else {
		k.over = min(k.over, k.everybody.until)
	}
	k.any.Store(len(k.users) > 0 || k.everybody != kicked{})
}

// crowd has a kick hold though there is no room for its user: for everybody, or by the
// place of one that is not final, which then holds for everybody. Called with mu held.
func (k *Kicks) crowd(user string, entry kicked) error {
	k.folded++
	if entry.barred == 0 {
		k.everybody = k.everybody.with(entry)
		return ErrCrowded
	}
	other, held := k.firstOver()
	if other == "" {
		entry.barred = 0
		k.everybody = k.everybody.with(entry)
		return ErrNotFinal
	}
	delete(k.users, other)
	k.users[user] = entry
	k.everybody = k.everybody.with(held)
	return ErrCrowded
}

// firstOver returns the user whose kick, which is not final, is over first: it holds for
// everybody for the shortest time. "" if all are final. All processes that know of the same kicks
// return the same. Called with mu held.
func (k *Kicks) firstOver() (user string, first kicked) {
	for other, held := range k.users {
		if held.barred == 0 && (user == "" || cmp.Or(cmp.Compare(held.until, first.until), cmp.Compare(held.at, first.at), cmp.Compare(other, user)) < 0) {
			user, first = other, held
		}
	}
	return user, first
}

// check reports what is wrong with a kick.
func (k Kick) check() error {
	if err := CheckUser(k.User); err != nil {
		return err
	}
	if k.Until.Sub(k.At) > MaxKick {
		return fmt.Errorf("a kick for %v, want at most %v", k.Until.Sub(k.At), MaxKick)
	}
	return nil
}

// KickStats are figures of kicks.
type KickStats struct {
	Users     int   // known by name
	Everybody bool  // one holds for everybody, for want of room
	Folded    int64 // kicks for which there was no room
}

// Stats returns the figures as they are now; what is over is forgotten first.
func (k *Kicks) Stats(now time.Time) KickStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sweep(now.UnixMicro())
	return KickStats{Users: len(k.users), Everybody: k.everybody != kicked{}, Folded: k.folded}
}
