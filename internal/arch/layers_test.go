package arch

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// design is the page that states the layers.
const design = "docs/design.md"

// layersHelp is the end of what the tests of layers have to say.
const layersHelp = `: see "Layers" in ` + design

// gap stands between the packages of a line and what they are.
var gap = regexp.MustCompile(` {2,}`)

// readLayers returns the packages of the module from top to bottom, as patterns of
// path.Match, and those that only tests may import. The design states both in the two
// code blocks of its section "Layers". A line names packages, separated by commas, and
// two spaces or more after them it says what they are; an empty line begins a lower
// layer.
func readLayers(t *testing.T) (layers [][]string, testOnly []string) {
	t.Helper()
	_, section, _ := strings.Cut(read(t, design), "\n## Layers\n")
	section, _, _ = strings.Cut(section, "\n## ")
	parts := strings.Split(section, "\n```\n")
	if len(parts) != 5 {
		t.Fatalf("%s has %d lines of ``` in its section Layers, want 4: a block of layers and one of what only tests import", design, len(parts)-1)
	}
	for _, group := range strings.Split(parts[1], "\n\n") {
		layers = append(layers, packagesOf(t, group))
	}
	return layers, packagesOf(t, parts[3])
}

// packagesOf returns the packages that the lines of group name.
func packagesOf(t *testing.T, group string) (packages []string) {
	t.Helper()
	for line := range strings.Lines(group) {
		names, what, said := strings.Cut(gap.ReplaceAllString(strings.TrimSpace(line), "\t"), "\t")
		if !said || what == "" {
			t.Errorf("%q says nothing of its packages, want two spaces after them and what they are%s", line, layersHelp)
		}
		packages = append(packages, strings.Split(names, ", ")...)
	}
	return packages
}

// Ensure that imports point downward, whatever the platform. Tests are exempt.
func TestLayers(t *testing.T) {
	layers, testOnly := readLayers(t)
	layer := func(pkg string) int { // -1 for none
		return slices.IndexFunc(layers, func(patterns []string) bool { return matches(patterns, pkg) })
	}
	used := make(map[string]bool) // patterns that fit a package
	for _, f := range parse(t) {
		for _, pattern := range slices.Concat(append(layers, testOnly)...) {
			used[pattern] = used[pattern] || matches([]string{pattern}, f.pkg())
		}
		if f.test || matches(testOnly, f.pkg()) {
			continue
		}
		from := layer(f.pkg())
		if from < 0 {
			t.Errorf("%s: package %s is in no layer%s", f.name, f.pkg(), layersHelp)
			continue
		}
		for _, imported := range f.imports() {
			name, ours := strings.CutPrefix(imported, "millrace/")
			if ours && layer(name) <= from {
				t.Errorf("%s imports %s, which is in no layer below%s", f.name, imported, layersHelp)
			}
		}
	}
	for pattern, fits := range used {
		if !fits {
			t.Errorf("there is no package %s%s", pattern, layersHelp)
		}
	}
}

// matches tells whether name matches one of patterns.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		if err != nil {
			panic(pattern) // a mistake in one of the tables
		}
		return ok
	})
}
