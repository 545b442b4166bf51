package arch

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Ensure that the package comment of server lists all of its files, in its groups.
func TestFilesAreListed(t *testing.T) {
	var files []string
	var text string
	for _, f := range parse(t) {
		if f.pkg() != "server" || f.test {
			continue
		}
		if name := strings.TrimSuffix(path.Base(f.name), ".go"); name != "doc" {
			files = append(files, name)
		} else {
			_, text, _ = strings.Cut(f.syntax.Doc.Text(), "# Files")
		}
	}
	text = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(text, "")
	var listed []string
	for _, group := range strings.Split(strings.TrimSpace(text), "\n\n") {
		_, names, _ := strings.Cut(strings.TrimSuffix(group, "."), ":")
		for _, name := range strings.Split(names, ",") {
			listed = append(listed, strings.TrimSpace(name))
		}
	}
	slices.Sort(files)
	slices.Sort(listed)
	for _, name := range files {
		if !slices.Contains(listed, name) {
			t.Errorf("server/doc.go does not list %s.go", name)
		}
	}
	for i, name := range listed {
		if !slices.Contains(files, name) || i > 0 && listed[i-1] == name {
			t.Errorf("server/doc.go lists %q, which is no file or listed twice", name)
		}
	}
}
