package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are what Program has built, by whether they have the race detector.
var programs = map[bool]func() (path string, err error){
	false: sync.OnceValues(func() (string, error) { return build("millrace") }),
	true:  sync.OnceValues(func() (string, error) { return build("millrace-race", "-race") }),
}

// Program returns the path of millrace, which is built once for all tests of a package. A
// race that the detector finds ends it.
func Program(t testing.TB, race bool) string {
	t.Helper()
	path, err := programs[race]()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds millrace beside the test's own program, which go test removes with all
// that is there.
func build(name string, flags ...string) (path string, err error) {
	test, err := os.Executable()
	if err != nil {
		return "", err
	}
	path = filepath.Join(filepath.Dir(test), name)
	build := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "millrace/cmd/millrace")...)
	build.Stderr = os.Stderr
	return path, build.Run()
}
