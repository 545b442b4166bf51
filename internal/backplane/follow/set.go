// Package follow keeps the set of channels that a node wants from an engine, and knows
// which of them are still to be asked for.
//
// The broker adds and removes channels as subscribers come and go; the goroutine
// of an engine that talks to it takes batches of them with [Set.Next] and reports
// with [Set.Confirm]. A channel without subscribers stays for a while, so that a
// page that is loaded again costs the engine nothing, and since it never stops
// being delivered, its subscribers resume without a gap.
package follow

import (
	"math"
	"sync"
	"time"
)

// DefaultLinger is how long a channel stays without subscribers.
const DefaultLinger = 5 * time.Second

// maxAsked bounds the channels that are asked for and not confirmed, since an
// engine has to hold its answers until they are read.
const maxAsked = 4096

// Set is the channels that a node wants. Its methods are safe for concurrent use,
// and do not wait. Its size is bounded by the channels that have subscribers and those
// that the engine has been asked for, whether a session takes batches or not.
type Set struct {
	linger time.Duration
	clock  func() time.Time
	wake   chan struct{} // holds a token when Next may have something

	mu       sync.Mutex
	channels map[string]*entry
	all      []*entry // of channels, in any order
	session  uint32   // how often Reset has been called
	wanted   queue    // with subscribers and to be asked for
	leaving  queue    // without subscribers, in the order of entry.until
	asked    int
	refusals refusals
}

type state uint8

const (
	stateWanted  state = iota // to be asked for
	stateAsked                // to be confirmed
	stateReady                // the engine delivers everything
	stateRefused              // to be asked for again later
)

// entry is one channel.
type entry struct {
	channel string
	state   state
	since   uint64    // stateReady: from when on
	until   time.Time // when it goes; zero while it has subscribers
	held    bool      // not stateReady: it was before the engine was lost, and has had subscribers ever since
	known   bool      // to the engine of this session, which was asked for it
	session uint32    // of which the above tells
	at      int32     // in Set.all

	in         *queue // nil for none
	prev, next *entry // in that
}

// NewSet returns an empty set whose channels stay for linger after their last
// subscriber.
func NewSet(linger time.Duration) *Set {
	return &Set{
		linger: linger, clock: time.Now,
		wake: make(chan struct{}, 1), channels: make(map[string]*entry),
	}
}

// Follow adds a channel, as channels.Backplane asks for it.
func (s *Set) Follow(channel string) (since uint64, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(channel)
	if e == nil {
		e = &entry{channel: channel, session: s.session, at: int32(len(s.all))}
		s.channels[channel] = e
		s.all = append(s.all, e)
	}
	e.until = time.Time{}
	s.place(e)
	return e.since, e.state == stateReady
}

// Unfollow lets a channel go: at once if the engine does not know of it, or else after
// the linger. One that has gone, as a refused one may have in a successor, stays so.
func (s *Set) Unfollow(channel string) {
	at := s.clock().Add(s.linger)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(channel)
	if e == nil {
		return
	}
	if !e.known {
		s.remove(e)
		return
	}
	e.until, e.held = at, false
	s.place(e)
}

// Wake has a token when Next may have more than it had, and may have one when it
// has not.
func (s *Set) Wake() <-chan struct{} { return s.wake }

// Next returns up to limit channels to ask the engine for, and some to give up
// before: up to limit that are out of the set, and the refused ones, of which the engine
// may have nothing. If both are empty, there is nothing to do until Wake has a token or
// the time again has come, if it is not zero.
func (s *Set) Next(limit int) (ask, drop []string, again time.Time) {
	now := s.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	ask = s.nextPart()
	drop, again = s.nextDrop(limit, now)
	if at := s.retry(now); !at.IsZero() && (again.IsZero() || at.Before(again)) {
		again = at
	}
	if len(ask) > 0 {
		return ask, drop, again // by itself
	}
	for s.wanted.first != nil && len(ask) < limit && s.asked < maxAsked {
		e := s.wanted.first
		s.ask(e)
		ask = append(ask, e.channel)
	}
	return ask, drop, again
}

// nextDrop returns the channels to be given up, and when there may be more. Called with
// mu held.
func (s *Set) nextDrop(limit int, now time.Time) (drop []string, again time.Time) {
	drop, s.refusals.drop = s.refusals.drop, nil
	limit += len(drop)
	for e := s.leaving.first; e != nil && len(drop) < limit; e = s.leaving.first {
		if e.until.After(now) {
			again = e.until
			break
		}
		if e.state == stateAsked { // its confirmation must not be taken for a later answer
			e.until = now.Add(s.linger)
			s.place(e)
			continue
		}
		s.remove(e)
		drop = append(drop, e.channel)
	}
	return drop, again
}

// Confirm tells that the engine delivers everything on a channel, which was asked
// for, after the sequence since. It returns false for a channel that was not.
func (s *Set) Confirm(channel string, since uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(channel)
	if e == nil || e.state != stateAsked {
		return false
	}
	e.state, e.since, e.held = stateReady, since, false
	s.answered()
	return true
}

// Reset tells that the engine delivers nothing any more: all channels have to be asked
// for anew, except the lingering ones, which are gone. The state of every channel counts
// for nothing from the first moment on; the channels are marked as wanted in slices,
// between which other callers go on.
func (s *Set) Reset() {
	s.beginSession()
	s.each(func(e *entry) { s.renew(e) })
}

// beginSession makes the state of every channel count for nothing.
func (s *Set) beginSession() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session++
	s.asked, s.refusals.parts, s.refusals.drop = 0, nil, nil
	s.wanted, s.leaving, s.refusals.refused = queue{}, queue{}, queue{}
}

// renew does to one channel what Reset does to all, unless it has been done. It returns
// false if the channel is gone. Called with mu held.
func (s *Set) renew(e *entry) bool {
	if e.session == s.session {
		return true
	}
	e.in, e.prev, e.next = nil, nil, nil // beginSession has dropped the queues
	e.held = e.held || e.state == stateReady
	e.state, e.known, e.session = stateWanted, false, s.session
	if !e.until.IsZero() {
		s.remove(e)
		return false
	}
	s.place(e)
	return true
}

// entry returns a channel as it is in this session, nil if there is none. Called with mu
// held.
func (s *Set) entry(channel string) *entry {
	e := s.channels[channel]
	if e == nil || !s.renew(e) {
		return nil
	}
	return e
}

// sliceOfWork is how many channels are looked at while the set is held up, and with it
// the broker: for some 0.1 ms.
const sliceOfWork = 512

// each calls f, with mu held, for every channel that is there all the time, in slices.
// From the end down, since another one takes the place of one that leaves.
func (s *Set) each(f func(*entry)) {
	for next := math.MaxInt; next > 0; {
		s.mu.Lock()
		next = min(next, len(s.all))
		for stop := max(next-sliceOfWork, 0); next > stop; {
			next = min(next, len(s.all)) - 1
			if next < 0 {
				break
			}
			f(s.all[next])
		}
		s.mu.Unlock()
	}
}

// Held returns the channels that were ready before Reset and have had subscribers ever
// since. Those subscribers count on having everything, which an engine that keeps history
// can see to. The channels count as asked for, to be confirmed by Regain. Held looks at
// them in slices, between which other callers go on.
func (s *Set) Held() (channels []string) {
	s.each(func(e *entry) {
		if s.renew(e) && e.held && e.state == stateWanted {
			s.ask(e)
			channels = append(channels, e.channel)
		}
	})
	return channels
}

// Regain tells that the engine delivers everything on a channel of Held, and that
// nothing is missing before. It returns false for one that has lost its subscribers
// meanwhile, which is to be asked for anew.
func (s *Set) Regain(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(channel)
	if !e.held {
		s.again(channel)
		return false
	}
	s.asked--
	e.state, e.since, e.held = stateReady, 0, false
	s.signal()
	return true
}

// Again asks anew for a channel that was asked for already, since the engine's answer was
// of no use.
func (s *Set) Again(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again(channel)
}

// again is Again with mu held.
func (s *Set) again(channel string) {
	s.asked--
	e := s.entry(channel)
	if e.state = stateWanted; e.until.IsZero() {
		s.place(e)
	}
}

// Len returns the number of channels in the set.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.channels)
}

// ask notes that the engine is asked for a channel. Called with mu held.
func (s *Set) ask(e *entry) {
	e.state, e.known = stateAsked, true
	s.asked++
	s.place(e)
}

// answered tells that one channel less waits for an answer. Called with mu held.
func (s *Set) answered() {
	if s.asked--; s.asked == maxAsked/2 {
		s.signal()
	}
}

// place puts a channel into the queue that it belongs in, at the end. Called with mu
// held.
func (s *Set) place(e *entry) {
	switch {
	case !e.until.IsZero():
		if s.leaving.push(e); s.leaving.first == e {
			s.signal()
		}
	case e.state == stateRefused:
		s.refusals.refused.push(e)
	case e.state == stateWanted:
		if e.in != &s.wanted {
			s.wanted.push(e)
		}
		s.signal()
	default:
		e.leave()
	}
}

// remove takes a channel out of the set. Called with mu held.
func (s *Set) remove(e *entry) {
	e.leave()
	delete(s.channels, e.channel)
	last := s.all[len(s.all)-1]
	last.at = e.at
	s.all[e.at] = last
	s.all[len(s.all)-1] = nil
	s.all = s.all[:len(s.all)-1]
	if len(s.channels) == 0 { // maps and lists keep the room of their best days
		s.channels, s.all = make(map[string]*entry), nil
	}
}

func (s *Set) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
