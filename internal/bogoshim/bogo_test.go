// Package bogoshim has BoringSSL's tests of TLS ("BoGo") run against millrace. It consists
// of tests only.
//
// Their runner has a TLS of its own that can do everything wrong. It starts the program
// under test, the shim, once for each of its tests, as a server or as a client, and talks to
// it. Here the shim is the test's own program, in two forms: crypto/tls alone, and
// crypto/tls for the handshake with internal/tlsrecord behind it (in a server by way of
// internal/handshake). What the first passes, the second has to pass.
package bogoshim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	// checkout is the variable that names a working tree of BoringSSL.
	checkout = "MILLRACE_TEST_BORINGSSL"
	// shimForm is the variable that makes a shim of this program, of the form that it has.
	shimForm = "MILLRACE_TEST_BOGO_SHIM"
)

func TestMain(m *testing.M) {
	if form := os.Getenv(shimForm); form != "" {
		os.Exit(shim(form, os.Args[1:]))
	}
	m.Run()
}

// results are what the runner says of its tests.
type results struct {
	Tests map[string]struct {
		Actual string `json:"actual"` // PASS, FAIL or SKIP
		Error  string `json:"error"`
	} `json:"tests"`
}

// Ensure that whatever crypto/tls passes of BoringSSL's tests passes with our records, too.
func TestBoGo(t *testing.T) {
	dir := os.Getenv(checkout)
	if dir == "" {
		t.Skipf("%s names no working tree of BoringSSL (https://boringssl.googlesource.com/boringssl)", checkout)
	}
	runner := build(t, dir)
	baseline, ours := run(t, runner, dir, formBaseline), run(t, runner, dir, formRecords)
	counts := make(map[[2]string]int)
	for name, test := range ours.Tests {
		before := baseline.Tests[name].Actual
		counts[[2]string{before, test.Actual}]++
		if before == "PASS" && test.Actual != "PASS" {
			t.Errorf("%s: %s, and crypto/tls alone passes: %s", name, test.Actual, test.Error)
		} else if before != "PASS" && test.Actual == "PASS" {
			t.Logf("%s passes, and with crypto/tls alone does not", name)
		}
	}
	for pair, n := range counts {
		t.Logf("%5d tests: %s with %s, %s with %s", n, pair[0], formBaseline, pair[1], formRecords)
	}
	if n := counts[[2]string{"PASS", "PASS"}]; n < 400 {
		t.Errorf("both pass %d tests: do the flags still fit?", n)
	}
}

// build builds the runner, which is a test of BoringSSL's module.
func build(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "runner")
	cmd := exec.Command("go", "test", "-c", "-o", program, ".")
	cmd.Dir = filepath.Join(dir, "ssl", "test", "runner")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the runner in %s: %v: %s", cmd.Dir, err, out)
	}
	return program
}

// run has the runner try a form of the shim.
func run(t *testing.T, runner, dir, form string) (r results) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	settings, err := filepath.Abs(filepath.Join("testdata", "settings.json"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "results.json")
	cmd := exec.Command(runner, "-test.timeout=0", "-shim-path="+self, "-shim-config="+settings,
		"-allow-unimplemented", "-loose-errors", "-json-output="+file)
	cmd.Dir = filepath.Join(dir, "ssl", "test", "runner")
	cmd.Env = append(os.Environ(), shimForm+"="+form)
	out, failed := cmd.CombinedOutput() // it fails if any test does
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatalf("the runner with %s: %v, %v: %s", form, failed, err, out)
	}
	return r
}
