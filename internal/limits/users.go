package limits

import (
	"hash/maphash"
	"strings"
	"sync"
)

// userShards is the number of locks that users are spread over, so that loops rarely meet
// at one.
const userShards = 64

// Users counts the streams of each user. A user is known as long as there is a stream, which
// refers to it by number. All loops share it: a stream touches it when it begins and when
// it ends. Safe for concurrent use.
type Users struct {
	most   int32 // streams of one user; 0 for any number
	seed   maphash.Seed
	shards [userShards]userShard
}

// userShard holds a part of the users.
type userShard struct {
	mu     sync.Mutex
	index  map[string]int32 // in slots
	peak   int              // the most users since index was made
	slots  []userSlot
	unused []int32 // indexes in slots
}

type userSlot struct {
	name string
	open int32 // streams
}

// UserRef is a user who has a stream; 0 is none.
type UserRef int32

// NewUsers returns users of which none may have more than so many streams; 0 for any number.
func NewUsers(most int) *Users {
	u := &Users{most: int32(most), seed: maphash.MakeSeed()}
	for i := range u.shards {
		u.shards[i].index = make(map[string]int32)
	}
	return u
}

// Join counts a new stream of a user. It returns false if that is one too many. For every
// ref there must be one Leave.
func (u *Users) Join(name string) (ref UserRef, ok bool) {
	s, i := u.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[name]
	if !known {
		at = s.add(strings.Clone(name)) // it may be part of a whole token
	}
	slot := &s.slots[at]
	if u.most > 0 && slot.open >= u.most {
		return 0, false
	}
	slot.open++
	return UserRef(at*userShards + i + 1), true
}

// Restore counts a stream of a user again that another process has let in, whatever the bound
// is. For every ref there must be one Leave.
func (u *Users) Restore(name string) UserRef {
	s, i := u.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[name]
	if !known {
		at = s.add(strings.Clone(name))
	}
	s.slots[at].open++
	return UserRef(at*userShards + i + 1)
}

// Leave takes Join back.
func (u *Users) Leave(ref UserRef) {
	s, at := u.at(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[at].open--; s.slots[at].open == 0 {
		s.remove(at)
	}
}

// Find returns a user and how many streams there are; 0 if there are none.
func (u *Users) Find(name string) (ref UserRef, streams int) {
	s, i := u.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[name]
	if !known {
		return 0, 0
	}
	return UserRef(at*userShards + i + 1), int(s.slots[at].open)
}

// Name returns the name of a user who has a stream.
func (u *Users) Name(ref UserRef) string {
	s, at := u.at(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[at].name
}

func (u *Users) shard(name string) (s *userShard, i int32) {
	i = int32(maphash.String(u.seed, name) % userShards)
	return &u.shards[i], i
}

func (u *Users) at(ref UserRef) (s *userShard, at int32) {
	return &u.shards[(ref-1)%userShards], int32(ref-1) / userShards
}

// add gives a user a slot.
func (s *userShard) add(name string) (at int32) {
	if last := len(s.unused) - 1; last >= 0 {
		at, s.unused = s.unused[last], s.unused[:last]
	} else {
		at = int32(len(s.slots))
		s.slots = append(s.slots, userSlot{})
	}
	s.slots[at] = userSlot{name: name}
	s.index[name] = at
	s.peak = max(s.peak, len(s.index))
	return at
}

// remove forgets a user. The memory of a crowd that has left is given back, but for the
// slots that others stand among.
func (s *userShard) remove(at int32) {
	delete(s.index, s.slots[at].name)
	s.slots[at] = userSlot{}
	s.unused = append(s.unused, at)
	if len(s.index) == 0 {
		s.slots, s.unused = nil, nil
	}
	if s.peak < 64 || len(s.index) > s.peak/8 {
		return
	}
	before := s.index
	s.index, s.peak = make(map[string]int32, len(before)), len(before)
	for name, at := range before {
		s.index[name] = at
	}
}
