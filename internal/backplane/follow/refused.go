package follow

import "time"

// retryPeriod is the time after which the engine is asked again for a refused channel.
const retryPeriod = time.Minute

// refusals keeps track of the channels that an engine refuses. A refusal concerns one
// channel, so of a batch that failed as a whole, each half is asked for by itself.
type refusals struct {
	parts   [][]string // halves of refused batches, still asked for
	drop    []string   // refused, but the engine may have taken up a part of it
	refused queue      // with subscribers
	again   time.Time  // when these are to be asked for, if there are any
}

// Refuse tells that the engine has refused a batch of Next, or of Held. Several
// channels are asked for again by halves. A single one is refused from now on, for
// which Refuse returns true, and is asked for once a minute, until it has no
// subscribers.
func (s *Set) Refuse(batch ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.refusals
	if len(batch) > 1 {
		half := len(batch) / 2
		r.parts = append(r.parts, batch[:half], batch[half:])
		s.signal()
		return false
	}
	e := s.entry(batch[0])
	if e == nil || e.state != stateAsked {
		return false
	}
	s.answered()
	r.drop = append(r.drop, e.channel)
	s.signal()
	if !e.until.IsZero() {
		s.remove(e)
		return false
	}
	if r.refused.first == nil {
		r.again = s.clock().Add(retryPeriod)
	}
	e.state, e.held, e.known = stateRefused, false, false
	s.place(e)
	return true
}

// nextPart returns the next part of a refused batch, without the channels that have lost
// their subscribers. Called with mu held.
func (s *Set) nextPart() (part []string) {
	for r := &s.refusals; len(part) == 0 && len(r.parts) > 0; r.parts = r.parts[1:] {
		for _, channel := range r.parts[0] {
			switch e := s.entry(channel); {
			case e == nil || e.state != stateAsked:
			case e.until.IsZero():
				part = append(part, channel)
			default:
				s.remove(e)
				s.answered()
				r.drop = append(r.drop, channel)
			}
		}
	}
	return part
}

// retry has refused channels asked for anew when it is time, and returns when that will
// be, zero if nothing is refused. Called with mu held.
func (s *Set) retry(now time.Time) (again time.Time) {
	r := &s.refusals
	if r.refused.first != nil && now.Before(r.again) {
		return r.again
	}
	for e := r.refused.first; e != nil; e = r.refused.first {
		e.state = stateWanted
		s.place(e)
	}
	return time.Time{}
}
