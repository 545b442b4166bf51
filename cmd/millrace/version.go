package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// versionCommand prints the version of this binary.
type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run() error {
	fmt.Printf("millrace %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// versionFlag is --version.
type versionFlag bool

// BeforeReset prints the version and ends the process, even if the command line has more.
func (versionFlag) BeforeReset(parser *kong.Kong) error {
	err := versionCommand{}.Run()
	parser.Exit(0)
	return err
}

// release is the newest release, as CHANGELOG.md has it.
const release = "0.1.0"

// version returns the release that this binary is of or comes after, and where it is
// known the commit, with .dirty if files differ from it: 0.1.0+f14d6b5d1c2e.dirty.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = "+" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".dirty"
		}
	}
	return release + commit + dirty
}
