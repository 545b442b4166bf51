package arch

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// maxLines is the length that no Go file exceeds. Most stay below 300.
const maxLines = 500

// longFiles may be longer, each for a reason.
var longFiles = map[string]string{}

// sleepers may call time.Sleep in tests outside of testing/synctest, each for a
// reason. To wait for something by sleeping is flaky or slow, and mostly both.
var sleepers = map[string]string{
	"bench/measure_test.go":              "measures what happens within a time",
	"bench/resume_test.go":               "clients stay away for random times",
	"server/burst_test.go":               "readers that pause, and slow ones",
	"server/churn_test.go":               "leaves the processors to the connections",
	"server/handover_load_linux_test.go": "a publisher of a certain pace, and slow readers",
	"server/storm_return_test.go":        "clients wait as long as they are told",
}

// Ensure that every package has exactly one package comment, which begins as
// go doc expects it.
func TestPackageComments(t *testing.T) {
	comments := make(map[string][]string) // of each package, the files with one
	for _, f := range parse(t) {
		with := comments[f.pkg()]
		if doc := f.syntax.Doc; doc != nil {
			with = append(with, f.name)
			name, text := f.syntax.Name.Name, doc.Text()
			if want := "Package " + name + " "; name != "main" && !strings.HasPrefix(text, want) {
				t.Errorf("%s: the package comment begins %.40q, want %q", f.at(doc), text, want)
			}
		}
		comments[f.pkg()] = with // also if there is none
	}
	for pkg, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments, want 1: %q", pkg, len(files), files)
		}
	}
}

func TestFileLengths(t *testing.T) {
	var long []string
	for _, f := range parse(t) {
		if f.lines <= maxLines {
			continue
		}
		long = append(long, f.name)
		if longFiles[f.name] == "" {
			t.Errorf("%s has %d lines, want at most %d: split it by its nouns, or give a reason in longFiles", f.name, f.lines, maxLines)
		}
	}
	stale(t, "longFiles", longFiles, long)
}

func TestNoSleepInTests(t *testing.T) {
	var asleep []string
	for _, f := range parse(t) {
		if !f.test {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isCall(call, "synctest", "Test") {
				return false // time does not pass there
			}
			if call, ok := n.(*ast.CallExpr); ok && isCall(call, "time", "Sleep") {
				asleep = append(asleep, f.name)
				if sleepers[f.name] == "" {
					t.Errorf("%s: time.Sleep: use testing/synctest, pass now, or give a reason in sleepers", f.at(n))
				}
			}
			return true
		})
	}
	stale(t, "sleepers", sleepers, asleep)
}

// isCall tells whether call is one of pkg.name.
func isCall(call *ast.CallExpr, pkg, name string) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	x, ok := selector.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// stale reports exceptions that nothing needs any more.
func stale(t *testing.T, table string, exceptions map[string]string, used []string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(exceptions)) {
		if !slices.Contains(used, name) {
			t.Errorf("%s: the exception of %s is not needed", table, name)
		}
	}
}

// Ensure that the log is the only way to stderr: code that writes there directly waits for
// its reader. Exempt are commands and the bench, which have no log, and packages that only
// tests use.
func TestNobodyWritesToStderr(t *testing.T) {
	_, testOnly := readLayers(t)
	for _, f := range parse(t) {
		if f.test || matches([]string{"cmd/*", "bench"}, f.pkg()) || matches(testOnly, f.pkg()) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && n.Sel.Name == "Stderr" {
					t.Errorf("%s: os.Stderr: log it (internal/logs)", f.at(n))
				}
			case *ast.CallExpr:
				if x, ok := n.Fun.(*ast.Ident); ok && (x.Name == "print" || x.Name == "println") {
					t.Errorf("%s: %s writes to stderr: log it (internal/logs)", f.at(n), x.Name)
				}
			}
			return true
		})
	}
}
