package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCheckUser(t *testing.T) {
	for user, want := range map[string]string{
		"u": "", "Grüße@example.org": "", strings.Repeat("x", MaxUser): "",
		"":                             "it is empty",
		strings.Repeat("x", MaxUser+1): "has 256 bytes",
		"a\nb":                         "control character",
		"\xff":                         "not valid UTF-8",
	} {
		err := CheckUser(user)
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, ErrUser) || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckUser(%.20q): %v, want %q", user, err, want)
		}
	}
}

func TestKicks(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	in := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	var k Kicks
	for _, kick := range []Kick{
		{User: "plain", At: now, Until: in(100)},
		{User: "final", At: now, Until: in(100), Final: true},
		{User: "again", At: now, Until: in(100), Final: true},
		{User: "again", At: in(10), Until: in(200)},
		{User: "lifted", At: now, Until: in(100), Final: true},
		{User: "lifted", At: in(1), Until: in(1)},
	} {
		if err := k.Add(kick, now); err != nil {
			t.Fatalf("Add(%v): %v", kick, err)
		}
	}
	for _, tt := range []struct {
		user   string
		issued time.Time
		at     time.Time
		want   Standing
	}{
		{"plain", in(-1), in(1), Void},
		{"plain", time.Time{}, in(1), Void}, // unknown
		{"plain", in(-0.000001), in(1), Void},
		{"plain", now, in(1), Counts},
		{"plain", in(1), in(1), Counts},
		{"plain", in(-1), in(99), Void},
		{"plain", in(-1), in(100), Counts},
		{"final", in(1), in(2), Barred},
		{"final", in(-1), in(99), Barred},
		{"final", in(-1), in(100), Counts},
		{"again", in(50), in(60), Barred},
		{"again", in(5), in(150), Void},
		{"again", in(11), in(150), Counts},
		{"lifted", in(-1), in(2), Counts},
		{"other", in(-1), in(2), Counts},
		{"", in(-1), in(2), Counts},
	} {
		if got := k.Judge(tt.user, tt.issued, tt.at); got != tt.want {
			t.Errorf("Judge(%q, issued %v) at %v = %d, want %d", tt.user, tt.issued.Sub(now), tt.at.Sub(now), got, tt.want)
		}
	}
	if got := k.Stats(in(150)); got != (KickStats{Users: 1}) {
		t.Errorf("after 150 s: %+v, want one user", got)
	}
	if got := k.Stats(in(200)); got != (KickStats{}) || k.any.Load() {
		t.Errorf("after 200 s: %+v, want nothing", got)
	}
	if err := k.Add(Kick{User: "x", At: now, Until: now.Add(MaxKick + 1)}, now); err == nil {
		t.Error("a kick for more than a year was taken")
	}
}

// Ensure that a full table lets nobody in: what it cannot know by name holds for
// everybody, and what is over makes room.
func TestKicksFull(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	before, after := now.Add(-time.Second), now.Add(time.Second)
	k := Kicks{most: 2}
	add := func(user string, final bool, lasts time.Duration, at time.Time, want error) {
		t.Helper()
		if err := k.Add(Kick{user, now, at.Add(lasts), final}, at); err != want {
			t.Errorf("Add(%q, final %v): %v, want %v", user, final, err, want)
		}
	}
	judge := func(user string, issued, at time.Time, want Standing) {
		t.Helper()
		if got := k.Judge(user, issued, at); got != want {
			t.Errorf("Judge(%q, issued %v): %d, want %d", user, issued.Sub(now), got, want)
		}
	}
	add("a", false, time.Hour, now, nil)
	add("b", false, time.Minute, now, nil)
	judge("other", before, after, Counts)
	add("c", false, 2*time.Minute, now, ErrCrowded)
	judge("c", before, after, Void)
	judge("other", before, after, Void)
	judge("other", after, after, Counts)
	add("d", true, time.Hour, now, ErrCrowded) // takes the place of a or b
	judge("d", after, after, Barred)
	judge("a", before, after, Void)
	judge("b", before, after, Void)
	add("e", true, time.Hour, now, ErrCrowded)
	add("f", true, time.Hour, now, ErrNotFinal)
	judge("f", before, after, Void)
	judge("f", after, after, Counts)
	add("d", true, 2*time.Hour, now, nil) // is known
	later := now.Add(90 * time.Minute)
	add("f", true, time.Hour, later, nil) // e is over
	judge("f", later, later, Barred)
	judge("other", before, later, Counts)
	if got, want := k.Stats(later), (KickStats{Users: 2, Folded: 4}); got != want {
		t.Errorf("Stats: %+v, want %+v", got, want)
	}
}

// Ensure that the table of kicks agrees with the list of all kicks, or says more if the table
// is full.
func TestKicksModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_790_000_000, 0)
		now := start
		k := Kicks{most: rapid.IntRange(1, 6).Draw(t, "most")}
		var all []Kick
		user := rapid.Map(rapid.IntRange(0, 4), func(n int) string { return fmt.Sprint("u", n) })
		t.Repeat(map[string]func(*rapid.T){
			"kick": func(t *rapid.T) {
				kick := Kick{user.Draw(t, "user"), now, now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "for")) * time.Second), rapid.Bool().Draw(t, "final")}
				if err := k.Add(kick, now); err == ErrNotFinal {
					kick.Final = false
				}
				all = append(all, kick)
			},
			"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second) },
			"judge": func(t *rapid.T) {
				u := user.Draw(t, "user")
				issued := start.Add(time.Duration(rapid.IntRange(0, int(now.Sub(start).Seconds())).Draw(t, "issued")) * time.Second)
				least, want := naiveJudge(all, u, issued, now)
				got := k.Judge(u, issued, now)
				if got < least || got != want && k.most >= 5 {
					t.Fatalf("Judge(%q, issued %v) at %v = %d, want %d or with room %d", u, issued.Sub(start), now.Sub(start), got, least, want)
				}
			},
		})
	})
}

// naiveJudge is Judge over a list of all kicks: what each says by itself, which is the
// least that must hold, and what they say together, since those of one user add up while
// they last.
func naiveJudge(all []Kick, user string, issued, now time.Time) (least, together Standing) {
	var at, until time.Time
	for _, kick := range all {
		if kick.User != user {
			continue
		}
		if kick.Final && now.Before(kick.Until) {
			return Barred, Barred
		}
		if now.Before(kick.Until) && issued.Before(kick.At) {
			least = Void
		}
		at = kick.At // each is later than the one before
		if kick.Until.After(until) {
			until = kick.Until
		}
	}
	if now.Before(until) && issued.Before(at) {
		return least, Void
	}
	return least, Counts
}

func BenchmarkJudge(b *testing.B) {
	now := time.Unix(1_790_000_000, 0)
	var k Kicks
	for i := range maxKicks {
		k.Add(Kick{User: fmt.Sprint("user-", i), At: now, Until: now.Add(time.Hour)}, now)
	}
	for b.Loop() {
		k.Judge("user-4711", now, now)
	}
}
