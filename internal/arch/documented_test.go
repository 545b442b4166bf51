package arch

import (
	"go/ast"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Ensure that docs/operations.md has every metric and every request of the ops port.
func TestOpsPortIsDocumented(t *testing.T) {
	page, metrics, requests := read(t, "docs/operations.md"), 0, 0
	for _, f := range parse(t) {
		if f.pkg() != "internal/ops" || f.test {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			argument, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			text, _ := strconv.Unquote(argument.Value) // it has been parsed
			switch function := call.Fun.(type) {
			case *ast.Ident:
				if code := "`millrace_" + text; function.Name == "desc" {
					metrics++
					if !strings.Contains(page, code+"`") && !strings.Contains(page, code+"{") {
						t.Errorf("%s: docs/operations.md does not have the metric millrace_%s", f.at(n), text)
					}
				}
			case *ast.SelectorExpr:
				if x, ok := function.X.(*ast.Ident); ok && x.Name == "secret" && strings.HasPrefix(function.Sel.Name, "Handle") && !strings.HasPrefix(text, "/debug/pprof/") {
					requests++
					if _, path, _ := strings.Cut(text, " "); !regexp.MustCompile("`(" + regexp.QuoteMeta(text) + "|" + regexp.QuoteMeta(path) + ")[`?]").MatchString(page) {
						t.Errorf("%s: docs/operations.md does not have the request %s", f.at(n), text)
					}
				}
			}
			return true
		})
	}
	if metrics < 50 || requests < 8 {
		t.Errorf("found %d metrics and %d requests: are they still calls of desc and of secret.Handle?", metrics, requests)
	}
}

// Ensure that docs/protocol.md has every command of the admin port.
func TestCommandsAreDocumented(t *testing.T) {
	page, found := read(t, "docs/protocol.md"), 0
	for _, f := range parse(t) {
		if f.name != "internal/admin/command.go" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			value, ok := n.(*ast.ValueSpec)
			if !ok || value.Names[0].Name != "commands" {
				return true
			}
			for _, element := range value.Values[0].(*ast.CompositeLit).Elts {
				found++
				key := element.(*ast.KeyValueExpr).Key.(*ast.BasicLit)
				name, _ := strconv.Unquote(key.Value) // it has been parsed
				name = strings.ToUpper(name)
				if !regexp.MustCompile("`" + regexp.QuoteMeta(name) + "[ `]").MatchString(page) {
					t.Errorf("%s: docs/protocol.md does not have the command %s", f.at(key), name)
				}
			}
			return false
		})
	}
	if found < 20 {
		t.Errorf("found %d commands: is the table still there?", found)
	}
}
