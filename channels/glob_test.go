package channels

import (
	"math/rand"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "/a/b", true},
		{"/rooms/*", "/rooms/42", true},
		{"/rooms/*", "/rooms", false},
		{"*/42", "/rooms/42", true},
		{"/*/*2", "/rooms/42", true},
		{"/*/*3", "/rooms/42", false},
		{"**a**", "banana", true},
		{"?", "", false},
		{"?b?", "abc", true},
		{"[abc]", "b", true},
		{"[^abc]", "b", false},
		{"[^abc]", "d", true},
		{"[a-c]x", "bx", true},
		{"[c-a]x", "bx", true},
		{"[a-c]", "d", false},
		{"[a-]", "_", true}, // from a down to ]
		{`[\]]`, "]", true},
		{"[]", "", false},
		{"[]", "]", false},
		{"[^]", "x", true},
		{"[ab", "b", true},
		{"[", "[", false},
		{"[^", "x", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`\`, `\`, true},
		{"a", "ab", false},
	} {
		if got := Glob(tt.pattern).Match(tt.name); got != tt.want {
			t.Errorf("Glob(%q).Match(%q) = %v", tt.pattern, tt.name, got)
		}
	}
}

// naiveMatch tries every length for every star.
func naiveMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		for i := range len(name) + 1 {
			if naiveMatch(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	case name == "":
		return false
	}
	ok, size := matchByte(pattern, name[0])
	return ok && naiveMatch(pattern[size:], name[1:])
}

func TestMatchAgainstNaive(t *testing.T) {
	seed := rand.Int63()
	rng := rand.New(rand.NewSource(seed))
	random := func(alphabet string, n int) string {
		var s strings.Builder
		for range rng.Intn(n) {
			s.WriteByte(alphabet[rng.Intn(len(alphabet))])
		}
		return s.String()
	}
	for range 200_000 {
		pattern, name := random(`ab*?[^-]\`, 8), random("ab]", 8)
		if got, want := Glob(pattern).Match(name), naiveMatch(pattern, name); got != want {
			t.Fatalf("seed %d: Glob(%q).Match(%q) = %v, want %v", seed, pattern, name, got, want)
		}
	}
}

// Ensure that no pattern takes exponential time. The naive twin would not end.
func TestMatchEnds(t *testing.T) {
	if Glob(strings.Repeat("*a", 100) + "b").Match(strings.Repeat("a", 255)) {
		t.Error("matched")
	}
}
