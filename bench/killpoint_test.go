package bench

import (
	"fmt"
	"strings"
	"testing"
)

// Ensure that points to end a process at are read as they are written.
func TestParseKills(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"new:prepared:3", "[new:prepared:3]"},
		{"old:moved stop-new:loaded", "[old:moved stop-new:loaded]"},
		{"new:prepared", "loop"}, {"new:prepared:0", "loop"}, {"new:moved:1", "step"}, {"new:lunch", "step"}, {"newer:moved", "kill"}, {"", "kill"},
	} {
		points, err := ParseKills(strings.Split(tt.text, " "))
		if got := fmt.Sprint(points); err == nil && got != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %s, %v, want %s", tt.text, got, err, tt.want)
		}
	}
	all, err := ParseKills([]string{"all"})
	if err != nil {
		t.Fatal(err)
	}
	steps := len(stepsBefore) + 2*len(stepsOfLoop) + len(stepsAfter)
	seen := make(map[string]bool)
	for _, p := range all {
		if again, err := ParseKills([]string{p.String()}); err != nil || again[0] != p {
			t.Errorf("%s is read as %v, %v", p, again, err)
		}
		seen[p.String()] = true
	}
	if len(seen) != 4*steps {
		t.Errorf("all are %d points, want %d of each of four", len(seen), steps)
	}
}
