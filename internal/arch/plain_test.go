package arch

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// plain are ways of writing that readers stumble over, as patterns in comments, in texts of
// the program and in pages. CONTRIBUTING.md has the rule.
var plain = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\bwhoever\b`), "a noun: a client that, a publisher that"},
	{regexp.MustCompile(`(?:^|[.;:] )Who [a-z]+s\b|\b(?:that|than|to|for|of|by|neither|costs) who (?:[a-ln-z]|m[^a])`), "a noun: a client that, a publisher that"},
	{regexp.MustCompile(`(?i)\bcannot be meant\b|\bis to be had\b|\bare to be had\b`), "invalid; can be opened, can be got"},
	{regexp.MustCompile(`(?i)\b(?:stands?|comes?|lies|put|written) behind\b`), "after: behind is only a slow reader"},
	{regexp.MustCompile(`(?i)\bmakes? nothing of\b|\bnone to speak of\b`), "the plain statement"},
}

// Ensure that prose stays plain where a pattern can tell.
func TestPlainEnglish(t *testing.T) {
	report := func(where, text string) {
		text = strings.Join(strings.Fields(text), " ")
		for _, p := range plain {
			if found := p.pattern.FindString(text); found != "" {
				t.Errorf("%s: %q, want %s", where, found, p.instead)
			}
		}
	}
	for _, page := range pages(t) {
		if page != "CHANGELOG.md" && page != "CONTRIBUTING.md" { // the one is history, the other has the rule
			for paragraph := range strings.SplitSeq(read(t, page), "\n\n") {
				report(page, paragraph)
			}
		}
	}
	for _, f := range parse(t) {
		if f.name == "internal/arch/plain_test.go" {
			continue
		}
		for _, group := range f.syntax.Comments {
			report(f.at(group), group.Text())
		}
		if f.test {
			continue // whose texts may be those of others
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok {
				report(f.at(n), strings.Trim(text.Value, "\"`"))
			}
			return true
		})
	}
}
