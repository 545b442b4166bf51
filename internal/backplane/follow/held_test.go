package follow

import (
	"slices"
	"testing"
	"time"
)

// Ensure that a channel is held while somebody takes it that nothing is missing,
// over any number of resets, and no longer.
func TestHeld(t *testing.T) {
	s := NewSet(time.Hour)
	for _, channel := range []string{"stays", "leaves", "returns", "left", "new"} {
		s.Follow(channel)
	}
	s.Next(10)
	for _, channel := range []string{"stays", "leaves", "returns", "left"} {
		s.Confirm(channel, 7)
	}
	s.Unfollow("left")
	s.Reset()
	s.Reset()
	s.Unfollow("returns")
	if _, ready := s.Follow("returns"); ready {
		t.Error("a channel is ready while the engine is lost")
	}
	held := s.Held()
	slices.Sort(held)
	if !slices.Equal(held, []string{"leaves", "stays"}) {
		t.Fatalf("held %q, want leaves and stays", held)
	}
	s.Unfollow("leaves")
	s.Follow("leaves")
	if s.Regain("leaves") || !s.Regain("stays") {
		t.Error("Regain: want true for what has had subscribers all the time, and else false")
	}
	if since, ready := s.Follow("stays"); since != 0 || !ready {
		t.Errorf("what is regained: since %d, ready %v, want 0, true", since, ready)
	}
	ask, _, _ := s.Next(10)
	slices.Sort(ask)
	if !slices.Equal(ask, []string{"leaves", "new", "returns"}) {
		t.Errorf("asked for %q, want leaves, new and returns", ask)
	}
}
