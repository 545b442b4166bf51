package enginetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// earlier is an older commit: its nodes and those of the present one share an engine while
// a service is upgraded, with the same keys, scripts and event ids. It may be moved
// forward, to the commit of the last release.
const earlier = "4e59db28dcd4"

// buildEarlier returns the path of the program of that commit, "" where the repository's
// history is not there.
func buildEarlier(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil || exec.Command("git", "cat-file", "-e", earlier+"^{commit}").Run() != nil {
		return ""
	}
	dir := t.TempDir()
	archive := exec.Command("git", "archive", earlier)
	archive.Dir = strings.TrimSpace(string(root))
	extract := exec.Command("tar", "-x", "-C", dir)
	if extract.Stdin, err = archive.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	extract.Stderr, archive.Stderr = os.Stderr, os.Stderr
	if err := extract.Start(); err != nil {
		t.Fatal(err)
	}
	if err := archive.Run(); err != nil {
		t.Fatalf("git archive %s: %v", earlier, err)
	}
	if err := extract.Wait(); err != nil {
		t.Fatalf("tar: %v", err)
	}
	program := filepath.Join(dir, "millrace")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/millrace")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", earlier, err, out)
	}
	return program
}

// upgrade has nodes of an earlier commit, which are replaced by those of this one, one
// after the other, and one of them goes back.
func (s *Suite) upgrade(t *testing.T, program string, streams int) {
	before := buildEarlier(t)
	if before == "" {
		t.Skip("the repository's history does not have the commit " + earlier)
	}
	s.Engine.Start(t)
	defer s.Engine.Stop(t)
	plain := *s
	plain.Refused = "" // which took nodes of that commit off the engine
	f := plain.start(t, before, streams)
	replace := func(n *Node, program string) {
		n.kill()
		n.mu.Lock()
		n.program = program
		n.mu.Unlock()
		n.start()
		f.pause(nodePause)
	}
	for _, n := range f.nodes {
		replace(n, program)
	}
	replace(f.nodes[0], before)
	f.finish(s.Complete)
}
