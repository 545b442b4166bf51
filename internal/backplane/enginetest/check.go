package enginetest

import (
	"fmt"
	"slices"
)

// check reports a message that a stream should not have got, or should have and has
// not: one for the second time, out of the order in which its publisher
// published, or missing although it was accepted, unless gaps are allowed and there
// was one in its place. Every message was published after the stream had opened.
func (s *stream) check(publishers []*publisher, gaps bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	type key struct{ channel, publisher int16 }
	newest := make(map[key]int32)
	told := make(map[key]int) // gaps that there had been when the newest came
	so := 0                   // gaps so far
	for i, m := range s.got {
		if m.number <= gap {
			if so++; !gaps {
				return fmt.Errorf("event %d of %d is a gap, want none", i, len(s.got))
			}
			if m.number == anew {
				clear(newest)
				clear(told)
			}
			continue
		}
		k := key{m.channel, m.publisher}
		if m.number <= newest[k] {
			return fmt.Errorf("event %d of %d is message %v after %d of the same publisher", i, len(s.got), m, newest[k])
		}
		for number := newest[k] + 1; number < m.number; number++ {
			if publishers[m.publisher].accepted[m.channel][number-1] && told[k] == so {
				return fmt.Errorf("event %d of %d is message %v, and %d, which was accepted, has not come (%d gaps so far)", i, len(s.got), m, number, so)
			}
		}
		newest[k], told[k] = m.number, so
	}
	return nil
}

// on returns the messages that a stream has got on one channel, without gaps, since it
// last began anew.
func (s *stream) on(channel int) (got []message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.got {
		switch {
		case m.number == anew:
			got = got[:0]
		case m.number > gap && int(m.channel) == channel:
			got = append(got, m)
		}
	}
	return got
}

// checkOrder reports two streams that do not agree on the order of the messages that both
// have got on a channel, if there has to be one. With complete, both must have got the same.
func checkOrder(channel int, streams []*stream, complete, ordered bool) error {
	var reference []message
	for _, s := range streams {
		if got := s.on(channel); len(got) > len(reference) {
			reference = got
		}
	}
	place := make(map[message]int, len(reference))
	for i, m := range reference {
		place[m] = i
	}
	for _, s := range streams {
		got, last := s.on(channel), -1
		if complete && slices.Contains(s.channels, channel) && len(got) != len(reference) {
			return fmt.Errorf("channel %d: a stream has got %d messages, another %d", channel, len(got), len(reference))
		}
		for _, m := range got {
			i, ok := place[m]
			if ok && i < last && ordered {
				return fmt.Errorf("channel %d: a stream has got %v before %v, another after it", channel, reference[last], m)
			}
			if ok {
				last = i
			}
		}
	}
	return nil
}
