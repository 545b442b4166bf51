package arch

import (
	"regexp"
	"strings"
	"testing"
)

// testCommand is one in a page, up to the end of its code or line of code.
var testCommand = regexp.MustCompile("go test ([^`#\n]*)")

// Ensure that every `go test` in the pages runs something: that its packages are there, and
// that some test, benchmark or fuzz target of theirs has the name it asks for.
func TestCommandsInPages(t *testing.T) {
	functions := make(map[string][]string) // of each package, in its tests
	for _, f := range parse(t) {
		functions[f.pkg()] = append(functions[f.pkg()], "") // also if there is none
		for name := range declarations(f.syntax) {
			if f.test {
				functions[f.pkg()] = append(functions[f.pkg()], name)
			}
		}
	}
	commands := 0
	for _, page := range pages(t) {
		for paragraph := range strings.SplitSeq(read(t, page), "\n\n") {
			if !strings.Contains(paragraph, "```") && !strings.HasPrefix(paragraph, "    ") {
				paragraph = strings.ReplaceAll(paragraph, "\n", " ") // code may be broken within a line
			}
			for _, match := range testCommand.FindAllStringSubmatch(paragraph, -1) {
				commands++
				arguments := strings.ReplaceAll(match[1], `\|`, "|") // as it stands in the cell of a table
				checkTestCommand(t, page, arguments, functions)
			}
		}
	}
	if commands < 20 {
		t.Errorf("found %d commands: does the pattern still fit?", commands)
	}
}

// checkTestCommand checks the arguments of one command.
func checkTestCommand(t *testing.T, page, arguments string, functions map[string][]string) {
	t.Helper()
	words := strings.Fields(strings.ReplaceAll(arguments, "'", ""))
	var names []string // of all packages that it names
	for _, word := range words {
		pkg, ok := strings.CutPrefix(word, "./")
		if !ok {
			continue
		}
		below, all := strings.CutSuffix(pkg, "...")
		found := false
		for name, declared := range functions {
			if name == pkg || all && strings.HasPrefix(name, below) {
				found, names = true, append(names, declared...)
			}
		}
		if !found {
			t.Errorf("%s: go test %s: there is no package %s", page, arguments, word)
		}
	}
	for i, word := range words[:max(0, len(words)-1)] {
		kind := map[string]string{"-run": "^Test|^Example|^Fuzz", "-bench": "^Benchmark", "-fuzz": "^Fuzz"}[word]
		wanted := words[i+1]
		if kind == "" || wanted == "-" || wanted == "XXX" || wanted == "^$" || wanted == "." {
			continue
		}
		wanted = strings.ReplaceAll(wanted, `\|`, "|") // as a table has to write it
		for alternative := range strings.SplitSeq(wanted, "|") {
			top, _, _ := strings.Cut(alternative, "/")
			pattern, of := regexp.MustCompile(top), regexp.MustCompile(kind)
			found := false
			for _, name := range names {
				found = found || of.MatchString(name) && pattern.MatchString(name)
			}
			if !found {
				t.Errorf("%s: go test %s: no package of it has %s that fits %s", page, arguments, kind, alternative)
			}
		}
	}
}
