// Package testenv finds the tools of tests that this repository does not contain:
// programs such as redis-cli, and packages from npm.
//
// A test whose tool is missing is skipped, so that `go test ./...` passes on a
// machine with nothing but Go. Where the variable [Variable] is "required", as
// it is in .ci/run, the test fails instead: a skip there would hide that
// nothing was tested.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// Variable names the environment variable that forbids to skip tests for want
// of a tool.
const Variable = "MILLRACE_TEST_TOOLS"

// Need returns the path of the program tool. Without it the test ends.
func Need(t testing.TB, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		Lack(t, err.Error())
	}
	return path
}

// NeedFile ends the test if path does not exist; remedy says how to get it.
func NeedFile(t testing.TB, path, remedy string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		Lack(t, err.Error()+": "+remedy)
	}
}

// Lack ends the test because something is missing: as skipped, or as failed where
// every tool is required.
func Lack(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv(Variable) == "required" {
		t.Fatalf("%s (%s=required)", missing, Variable)
	} else {
		t.Skip(missing)
	}
}

// Full tells whether tests that have a small form are to run as a whole: with the variable
// MILLRACE_TEST_FULL set.
func Full() bool { return os.Getenv("MILLRACE_TEST_FULL") != "" }
