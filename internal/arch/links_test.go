package arch

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	// fence is a code block, in which nothing is a link or a heading.
	fence = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	// link is one to a page or to an image; its group is the target.
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// heading is a line of a page that can be linked to; its group is the text.
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
)

// pages returns the paths of all pages of documentation below root.
func pages(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", ".github/*.md", ".github/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			below, err := filepath.Rel(root, name)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(below))
		}
	}
	return names
}

// Ensure that every link within the documentation leads somewhere: to a file, and to a
// heading in it if the link names one. Links to other hosts are not followed.
func TestLinks(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			found++
			if target = path.Join(path.Dir(page), target); strings.HasPrefix(match[1], "#") {
				target = page
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, and there is no file %s", page, match[1], target)
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading, want one of %q", page, match[1], target, anchors(read(t, target)))
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d links within the documentation: does the pattern still fit?", found)
	}
}

// anchors returns what GitHub makes of the headings of a page: in lower case, with
// hyphens for spaces and without other punctuation.
func anchors(page string) (names []string) {
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, match[1]))
	}
	return names
}
