package arch

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// layers are the packages of the module from top to bottom, as patterns of
// path.Match. A package imports only from layers below its own.
var layers = [][]string{
	{"cmd/*"},
	{"internal/ops"},
	{"server", "bench", "internal/admin", "internal/demo", "internal/doctor", "internal/backplane/redis", "internal/backplane/nats", "internal/backplane/postgres"},
	{"internal/backplane/link", "internal/ports"},
	{"internal/backplane/follow", "internal/backplane/envelope", "internal/turbo"},
	{"channels", "httpparse", "timerwheel", "internal/resp", "internal/fdtable", "internal/pattern", "internal/proxyproto", "internal/throttle", "internal/logs", "internal/redact", "bench/report", "bench/storm"},
}

// testOnly are the packages that nothing but tests may import.
var testOnly = []string{"deploy", "internal/abuse", "internal/arch", "internal/backplane/enginetest", "internal/interop", "internal/ssetest", "internal/testenv"}

// Ensure that imports point downward, whatever the platform. Tests are exempt.
func TestLayers(t *testing.T) {
	for _, f := range parse(t) {
		if f.test || matches(testOnly, f.pkg()) {
			continue
		}
		from := layer(f.pkg())
		if from < 0 {
			t.Errorf("%s: package %s is in no layer: add it to layers, or to testOnly", f.name, f.pkg())
			continue
		}
		for _, imported := range f.imports() {
			name, ours := strings.CutPrefix(imported, "millrace/")
			if ours && layer(name) <= from {
				t.Errorf("%s imports %s, which is in no layer below", f.name, imported)
			}
		}
	}
}

// layer returns the index of the package's layer, -1 if it is in none.
func layer(pkg string) int {
	return slices.IndexFunc(layers, func(patterns []string) bool { return matches(patterns, pkg) })
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
