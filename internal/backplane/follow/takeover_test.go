package follow

import (
	"slices"
	"testing"
	"time"
)

// Ensure that a successor finds what the engine delivers and refuses, whatever has gone
// meanwhile, and may have a channel asked for anew.
func TestSurvey(t *testing.T) {
	s := NewSet(time.Minute)
	for _, name := range []string{"ready", "asked", "refused", "anew", "held"} {
		s.Follow(name)
	}
	if s.Settled() {
		t.Error("settled before anything was asked for")
	}
	s.Next(10)
	for _, name := range []string{"ready", "anew", "held"} {
		s.Confirm(name, 1)
	}
	s.Refuse("refused")
	if s.Settled() {
		t.Error("settled while a channel waits for its answer")
	}
	all, ready, refused := s.Survey()
	slices.Sort(all)
	slices.Sort(ready)
	if want := []string{"anew", "asked", "held", "ready", "refused"}; !slices.Equal(all, want) {
		t.Errorf("all are %q, want %q", all, want)
	}
	if want := []string{"anew", "held", "ready"}; !slices.Equal(ready, want) || !slices.Equal(refused, []string{"refused"}) {
		t.Errorf("ready are %q, refused %q", ready, refused)
	}
	if !s.Since("ready", 7) || s.Since("asked", 7) || s.Since("none", 7) {
		t.Error("Since is for ready channels alone")
	}
	if since, ok := s.Follow("ready"); since != 7 || !ok {
		t.Errorf("ready since %d, %t, want 7", since, ok)
	}
	s.Anew("anew")
	s.Anew("none")
	if ask, _, _ := s.Next(10); !slices.Equal(ask, []string{"anew"}) {
		t.Errorf("asked for are %q, want anew", ask)
	}
	s.Confirm("anew", 0)
	s.Confirm("asked", 0)
	if !s.Settled() {
		t.Error("not settled though all is answered")
	}
	s.Reset()
	s.Anew("held")
	if held := s.Held(); slices.Contains(held, "held") || !slices.Contains(held, "ready") {
		t.Errorf("held are %q, want all that were ready but the one that is asked for anew", held)
	}
	s.Unfollow("none") // which has gone
}
