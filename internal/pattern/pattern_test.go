package pattern

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		fits    []string
		fitsNot []string
	}{
		{"/a", []string{"/a"}, []string{"", "/", "/a/", "/ab", "/A", "a", "/a/b"}},
		{"news", []string{"news"}, []string{"/news", "news/", "new"}},
		{"*", []string{"", "/", "/a", "x", "*"}, nil},
		{"/*", []string{"/", "/a", "/a/b", "//"}, []string{"", "a"}},
		{"/rooms/*", []string{"/rooms/", "/rooms/42", "/rooms/42/43", "/rooms//"}, []string{"/rooms", "/roomsx"}},
		{"/room*", []string{"/room", "/rooms", "/rooms/42"}, []string{"/roo", "room"}},
		{"/rooms/{id}", []string{"/rooms/42", "/rooms/{id}", "/rooms/*"}, []string{"/rooms/", "/rooms", "/rooms/42/", "/rooms/42/43"}},
		{"/rooms/{id}/events", []string{"/rooms/42/events"}, []string{"/rooms//events", "/rooms/42/43/events", "/rooms/events", "/rooms/42/events/"}},
		{"/{a}/{b}", []string{"/1/2"}, []string{"//2", "/1/", "/1", "/1/2/3", "1/2"}},
		{"/{a}/*", []string{"/1/", "/1/2", "/1/2/3"}, []string{"//2", "/1", "/"}},
		{"{a}", []string{"news", "a:b"}, []string{"", "/", "/a", "a/"}},
		{"/a/", []string{"/a/"}, []string{"/a", "/a//"}},
		{"/ä{", nil, nil}, // refused
	} {
		p, err := Parse(c.pattern)
		if c.fits == nil {
			if !errors.Is(err, ErrPattern) {
				t.Errorf("Parse(%q): %v, want a refusal", c.pattern, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Parse(%q): %v", c.pattern, err)
		}
		for _, name := range c.fits {
			if !p.Match(name) {
				t.Errorf("%q does not fit %q", name, c.pattern)
			}
		}
		for _, name := range c.fitsNot {
			if p.Match(name) {
				t.Errorf("%q fits %q", name, c.pattern)
			}
		}
	}
	if (Pattern{}).Match("") {
		t.Error("the zero pattern fits a name")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "**", "/a/*/b", "/*a", "a**", "/{", "/}", "/{}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a}{b}", "/{{a}}", "/{a}*", "{a}*", "/{a}/**",
		"/{+a}", "/{#a}", "/{.a}", "/{;a}", "/{?a}", "/{&a}", "/{a,b}", "/{a:3}", "/{a.b}", "/{a b}", // of RFC 6570, and of nothing
	} {
		if p, err := Parse(text); !errors.Is(err, ErrPattern) || !strings.Contains(err.Error(), "want") {
			t.Errorf("Parse(%q) = %v, %v, want a refusal that says what would be right", text, p, err)
		}
	}
	if l, err := ParseList([]string{"/a", "/b/*/c"}); l != nil || !errors.Is(err, ErrPattern) {
		t.Errorf("a list with a bad pattern: %v, %v", l, err)
	}
}

func TestList(t *testing.T) {
	l, err := ParseList([]string{"/a", "/b/*"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"/a": true, "/b/1": true, "/c": false} {
		if l.Match(name) != want {
			t.Errorf("%q fits one of %v: %v, want %v", name, l, !want, want)
		}
	}
	if (List)(nil).Match("/a") {
		t.Error("a name fits an empty list")
	}
}

// twin is Match by a regular expression.
func twin(text string) *regexp.Regexp {
	rest, open := strings.CutSuffix(text, "*")
	var parts []string
	for _, part := range strings.Split(rest, "/") {
		if strings.HasPrefix(part, "{") {
			parts = append(parts, "[^/]+")
		} else {
			parts = append(parts, regexp.QuoteMeta(part))
		}
	}
	end := `\z`
	if open {
		end = ""
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(parts, "/") + end)
}

// FuzzMatch compares matching with a regular expression.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"/rooms/{id}/*", "/rooms/42/x"}, {"/a", "/a"}, {"*", ""}, {"{x}/{y}", "a/b"}, {"/a/*", "/a"}, {"//{a}//", "//x//"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if len(text) < 1000 && strings.ToValidUTF8(text, "") == text && strings.ToValidUTF8(name, "") == name {
			if got, want := p.Match(name), twin(text).MatchString(name); got != want {
				t.Errorf("%q fits %q: %v, the regular expression says %v", name, text, got, want)
			}
		}
		if n := testing.AllocsPerRun(1, func() { p.Match(name) }); n != 0 {
			t.Errorf("matching %q with %q allocates %v times", name, text, n)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	p, _ := Parse("/rooms/{id}/events/*")
	for b.Loop() {
		if !p.Match("/rooms/42/events/of/today") {
			b.Fatal("it does not fit")
		}
	}
}
