package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Ensure that the version begins with the newest release of CHANGELOG.md.
func TestVersionIsTheNewestRelease(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## \[?(\d+\.\d+\.\d+)`).FindStringSubmatch(string(text))
	if newest == nil || newest[1] != release || !strings.HasPrefix(version(), release) {
		t.Errorf("version %q, release %q; CHANGELOG.md's newest release is %q", version(), release, newest)
	}
}
