package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// versionCommand prints what this binary is.
type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run() error {
	fmt.Printf("millrace %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// versionFlag is --version.
type versionFlag bool

// BeforeReset prints the version and ends the process, whatever else is asked for.
func (versionFlag) BeforeReset(parser *kong.Kong) error {
	err := versionCommand{}.Run()
	parser.Exit(0)
	return err
}

// version returns the version of the module. For a build from a checkout it has
// the commit, and +dirty when files differ from it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "devel", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	return revision + dirty
}
