package follow

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Ensure that one refused channel among many is found in few questions, that all
// others are taken up, and that it is asked for again after a minute.
func TestRefuse(t *testing.T) {
	now := time.Unix(1000, 0)
	s := NewSet(time.Hour)
	s.clock = func() time.Time { return now }
	const n = 512
	for i := range n {
		s.Follow(fmt.Sprint(i))
	}
	questions, confirmed := 0, 0
	for ask, _, _ := s.Next(n); len(ask) > 0; ask, _, _ = s.Next(n) {
		questions++
		if slices.Contains(ask, "300") {
			if told := s.Refuse(ask...); told != (len(ask) == 1) {
				t.Errorf("Refuse of %d channels = %v, want true for one", len(ask), told)
			}
			continue
		}
		for _, channel := range ask {
			s.Confirm(channel, 0)
			confirmed++
		}
	}
	if confirmed != n-1 || questions > 20 || s.refusals.refused.len() != 1 {
		t.Errorf("%d questions, %d channels confirmed, %d refused, want 20 at most, %d, and 1", questions, confirmed, s.refusals.refused.len(), n-1)
	}
	if _, ready := s.Follow("300"); ready {
		t.Error("a refused channel is ready")
	}
	if _, _, again := s.Next(n); !again.Equal(now.Add(retryPeriod)) {
		t.Errorf("to be asked for again at %v, want in a minute", again)
	}
	now = now.Add(retryPeriod)
	if ask, _, _ := s.Next(n); !slices.Equal(ask, []string{"300"}) {
		t.Errorf("after a minute asked for %q, want the one that was refused", ask)
	}
	s.Refuse("300")
	s.Unfollow("300")
	if ask, drop, again := s.Next(n); len(ask) > 0 || !slices.Equal(drop, []string{"300"}) || !again.IsZero() || s.Len() != n-1 {
		t.Errorf("Next() = %q, %q, %v with %d channels, want a refused channel forgotten with its last subscriber", ask, drop, again, s.Len())
	}
}
