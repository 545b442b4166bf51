package server

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"millrace/internal/auth"
	"millrace/internal/limits"
)

const (
	// expiryLeeway is how long after its end a grant still counts: clocks differ.
	expiryLeeway = 30 * time.Second
	// expirySpread is the time after that over which the streams of one end are ended, so
	// that they do not come back together.
	expirySpread = 30 * time.Second
)

// grant is the part of a stream's state beside its slot, if it has a user or an end: 16 bytes
// without a pointer.
type grant struct {
	user          limits.UserRef // 0: none
	until         moment         // when the stream ends; 0: never
	before, after link           // its neighbours among the user's streams on this loop
}

// link is a stream in a list: one more than its id, 0 for none.
type link int32

func (i link) id() streamID { return streamID(i - 1) }

// grantTable finds grants by the slots of their streams. Its loops share it as they share
// the table of slots: the owner of a slot owns its grant. Chunks appear when they are first
// needed, and stay.
type grantTable []atomic.Pointer[[chunkSize]grant]

// at returns a grant that was claimed before.
func (t grantTable) at(id streamID) *grant { return &t[id>>chunkShift].Load()[id&(chunkSize-1)] }

// grantOf returns the grant of a stream, which has one.
func (l *loop) grantOf(id streamID) *grant {
	if i := id - firstShared; i >= 0 {
		return &l.h2Conns.grants[i>>chunkShift][i&(chunkSize-1)]
	}
	return l.table.grants.at(id)
}

// claimGrant returns the grant of a stream that is to have one.
func (l *loop) claimGrant(id streamID) *grant {
	i := id - firstShared
	if i < 0 {
		return l.table.grants.claim(id)
	}
	for int(i>>chunkShift) >= len(l.h2Conns.grants) {
		l.h2Conns.grants = append(l.h2Conns.grants, nil)
	}
	if chunk := &l.h2Conns.grants[i>>chunkShift]; *chunk == nil {
		*chunk = new([chunkSize]grant)
	}
	return l.grantOf(id)
}

// claim returns the grant of a slot to be filled.
func (t grantTable) claim(id streamID) *grant {
	if chunk := &t[id>>chunkShift]; chunk.Load() == nil {
		chunk.CompareAndSwap(nil, new([chunkSize]grant))
	}
	return t.at(id)
}

// keepGrant notes the user and the end of a stream that starts, if it has any.
func (l *loop) keepGrant(s *stream, user limits.UserRef, expires time.Time) {
	if user == 0 && expires.IsZero() {
		return
	}
	l.linkGrant(s, user, l.endOf(expires))
}

// linkGrant is keepGrant, with the moment when the stream is ended.
func (l *loop) linkGrant(s *stream, user limits.UserRef, until moment) {
	s.flags.set(granted, true)
	g := l.claimGrant(s.id())
	*g = grant{user: user, until: until}
	if user == 0 {
		return
	}
	g.after = l.byUser.m[user]
	if g.after != 0 {
		l.grantOf(g.after.id()).before = link(s.id() + 1)
	}
	l.byUser.set(user, link(s.id()+1))
}

// dropGrant takes keepGrant back.
func (l *loop) dropGrant(s *stream) {
	s.flags.set(granted, false)
	g := l.grantOf(s.id())
	if g.user == 0 {
		return
	}
	for _, e := range l.endings {
		if e.next == link(s.id()+1) {
			e.next = g.after
		}
	}
	switch {
	case g.before != 0:
		l.grantOf(g.before.id()).after = g.after
	case g.after != 0:
		l.byUser.set(g.user, g.after)
	default:
		l.byUser.remove(g.user)
	}
	if g.after != 0 {
		l.grantOf(g.after.id()).before = g.before
	}
	l.server.users.Leave(g.user)
}

// endOf draws when a stream whose grant expires then is ended, 0 for never. No stream
// lasts longer than maxDuration by one grant.
func (l *loop) endOf(expires time.Time) moment {
	if expires.IsZero() {
		return 0
	}
	left := expires.Sub(l.server.wall()) + expiryLeeway + rand.N(expirySpread)
	return max(momentOf(l.now+min(max(left, 0), maxDuration)), 1)
}

// grantEnd returns when the grant of a stream ends, -1 for never.
func (l *loop) grantEnd(s *stream) time.Duration {
	if !s.flags.is(granted) {
		return -1
	}
	until := l.grantOf(s.id()).until
	if until == 0 {
		return -1
	}
	return until.within(maxDuration, l.now)
}

// hasExpired tells whether the grant of a stream has ended.
func (l *loop) hasExpired(s *stream) bool {
	end := l.grantEnd(s)
	return end >= 0 && l.now >= end
}

// joinUser counts a stream at the user of its grant. It returns false if that user has
// enough of them.
func (l *loop) joinUser(v *auth.Verdict) (user limits.UserRef, ok bool) {
	if v.User == "" {
		return 0, true
	}
	return l.server.users.Join(v.User)
}
