package auth

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Ensure that kicks that go on in another process, with others that it has heard meanwhile,
// judge there as they would have in one.
func TestKicksTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Unix(1_000_000, 0)
		draw := func(what string) time.Time {
			return begin.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, what)) * time.Second)
		}
		most := rapid.IntRange(1, 3).Draw(t, "most")
		one, before, after := &Kicks{most: most}, &Kicks{most: most}, &Kicks{most: most}
		travelled := rapid.IntRange(0, 8).Draw(t, "kicks before")
		for i := range travelled + rapid.IntRange(0, 8).Draw(t, "kicks after") {
			at := draw("at")
			kick := Kick{fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "user")), at, at.Add(time.Duration(1+rapid.IntRange(0, 9).Draw(t, "for")) * time.Second), rapid.Bool().Draw(t, "final")}
			one.Add(kick, begin)
			if i < travelled {
				before.Add(kick, begin)
			} else {
				after.Add(kick, begin)
			}
			if i+1 == travelled {
				after.Follow(before.Holding())
				after.Follow(before.Holding()) // twice is once
			}
		}
		for user := range 5 {
			for now := range 20 {
				issued, now := draw("issued"), begin.Add(time.Duration(now)*time.Second)
				name := fmt.Sprint(user)
				want, got := one.Judge(name, issued, now), after.Judge(name, issued, now)
				if got < want && one.Stats(begin).Folded == 0 {
					t.Fatalf("what was issued to %s at %v is judged %d at %v, want %d", name, issued, got, now, want)
				}
				if got == Counts && want != Counts {
					t.Fatalf("what was issued to %s at %v counts at %v, want %d", name, issued, now, want)
				}
			}
		}
	})
}
