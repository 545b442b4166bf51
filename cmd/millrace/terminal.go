package main

import (
	"os"

	"golang.org/x/term"
)

// isTerminal tells whether people sit at the other end of f. /dev/null is a device too,
// and no terminal.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
