package follow

// What a process that takes over needs of the set: until the switch, the engine delivers to
// the process before, too, so that the state of a channel here counts from the switch on.

// Survey returns the channels of the set: all, those that are ready, and those that the engine
// refuses.
func (s *Set) Survey() (all, ready, refused []string) {
	s.each(func(e *entry) {
		if !s.renew(e) {
			return
		}
		all = append(all, e.channel)
		switch e.state {
		case stateReady:
			ready = append(ready, e.channel)
		case stateRefused:
			refused = append(refused, e.channel)
		}
	})
	return all, ready, refused
}

// Since tells that a channel which is ready has been so since a sequence. It returns false for
// one that is not ready.
func (s *Set) Since(channel string, since uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(channel)
	if e == nil || e.state != stateReady {
		return false
	}
	e.since = since
	return true
}

// Anew has a channel asked for as a new one if it is ready, or would be after Held, since there
// is more to know of it.
func (s *Set) Anew(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(channel)
	if e == nil {
		return
	}
	if e.held = false; e.state == stateReady {
		s.asked++ // as if the answer were of no use
		s.again(channel)
	}
}

// Settled tells whether nothing is to be asked for or to be answered.
func (s *Set) Settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted.first == nil && s.asked == 0
}
