package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// warnings are about variables.
type warnings []string

// injected are the variables that Kubernetes sets beside a Service named millrace, or
// millrace-something, and those of tests.
var injected = regexp.MustCompile(`^MILLRACE_(SERVICE_|PORT(_|$)|TEST_)|_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)`)

// strangers returns a warning for each variable of environ (name=value) that looks as
// if it were for a flag of parser and is not.
func strangers(parser *kong.Kong, environ []string) warnings {
	var known []string
	for _, command := range parser.Model.Leaves(false) {
		for _, flags := range command.AllFlags(false) {
			for _, flag := range flags {
				known = append(known, flag.Envs...)
			}
		}
	}
	var found warnings
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(strings.ToUpper(name), "MILLRACE_") || slices.Contains(known, name) || injected.MatchString(name) ||
			strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://") { // Kubernetes, of a Service millrace-something
			continue
		}
		found = append(found, fmt.Sprintf("the variable %.64q sets nothing: did you mean %s?", name, nearest(name, known)))
	}
	slices.Sort(found)
	return found
}

// nearest returns that of names which takes the fewest changes to become name.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return changes(name, a) - changes(name, b) })
}

// changes returns how many bytes have to be inserted, deleted or replaced to make b of
// a (Levenshtein's distance). a is not longer than a variable's name reasonably is.
func changes(a, b string) int {
	a = a[:min(len(a), 64)]
	row := make([]int, len(b)+1) // from a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// print prints the warnings of a command that has no log.
func (w warnings) print(to io.Writer) {
	for _, warning := range w {
		fmt.Fprintf(to, "millrace: warning: %s\n", warning)
	}
}
